// Ids that answers name are filled in where later operations ask for them: nothing else on this page knows any.
const ids = {};

function remember(response) {
  const found = response.obj ?? {};
  const names = ["track_id", "job_id"].filter((name) => typeof found[name] === "string");
  if (names.every((name) => ids[name] === found[name])) return response;
  for (const name of names) ids[name] = found[name];
  const spec = structuredClone(ui.specSelectors.specJson().toJS());
  for (const operations of Object.values(spec.paths))
    for (const { parameters = [] } of Object.values(operations))
      for (const parameter of parameters)
        if (parameter.in === "path" && ids[parameter.name]) parameter.example = ids[parameter.name];
  // After the answer itself has been shown.
  setTimeout(() => ui.specActions.updateJsonSpec(spec));
  return response;
}

const ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  persistAuthorization: false,
  responseInterceptor: remember,
  // The online validator would be asked about every page view.
  validatorUrl: null,
});
