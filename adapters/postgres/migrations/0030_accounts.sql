-- People's names, in this one place: events know account ids only, so erasing a name here leaves the history whole.
CREATE TABLE accounts (
    account_id uuid PRIMARY KEY,
    name text,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    erased_at timestamptz,
    CONSTRAINT erased_accounts_have_no_name CHECK ((name IS NULL) = (erased_at IS NOT NULL))
);
GRANT SELECT, INSERT, UPDATE ON accounts TO beatledger_app;
