"""The pages for people, with all they need in this folder: they work without any other host.

swagger-ui-bundle.js and swagger-ui.css are of swagger-ui-dist 5.35.0 (Apache-2.0: swagger-ui.LICENSE.txt).
"""
