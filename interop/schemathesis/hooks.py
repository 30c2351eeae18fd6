"""What JSON Schema cannot say of documents, and schemathesis therefore cannot know.

Everything else that its own check finds is still found.
"""

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

# The order of two fields; the mixture within `all`; the syntax of regular expressions in `regex-lite`, and their
# number; of decisions, that each is about another request, and that its behavior fits `on`.
UNSAID = (
    "expected `min` or longer",
    "expected `to` later than `from`",
    "invalid range: expected at least",
    "invalid behavior: expected one for",
    "regular expression that can be used",
    "regular expressions, found",
    "duplicate ordinal",
)


@schemathesis.check
def good_documents_are_taken(ctx, response, case):
    if response.status_code == 400:
        error = response.json()["error"]
        if any(reason in error for reason in UNSAID):
            return None
    return positive_data_acceptance(ctx, response, case)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """`oneOf` as `anyOf`, which is the same where `type` differs: of the former, schemathesis 4.32 makes
    no counterexample within an array ("Cannot generate an array with 1 demanded elements")."""
    for schema in raw_schema["components"]["schemas"].values():
        if "oneOf" in schema:
            schema["anyOf"] = schema.pop("oneOf")
            schema.pop("discriminator", None)
