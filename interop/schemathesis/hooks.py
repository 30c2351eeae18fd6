"""Rules of documents that JSON Schema cannot express.

schemathesis cannot know these rules: its check for valid data ignores errors about them.
"""

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

# The order of two fields, the mixture in `all`, the syntax and number of regular expressions, and
# decisions with the same ordinal or with a behavior that contradicts `on`.
NOT_IN_SCHEMA = (
    "expected `min` or longer",
    "expected `to` later than `from`",
    "invalid range: expected at least",
    "invalid behavior: expected one for",
    "invalid regular expression",
    "regular expressions, found",
    "duplicate ordinal",
)


@schemathesis.check
def valid_documents_are_accepted(ctx, response, case):
    if response.status_code == 400:
        error = response.json()["error"]
        if any(reason in error for reason in NOT_IN_SCHEMA):
            return None
    return positive_data_acceptance(ctx, response, case)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Replaces `oneOf` by `anyOf`, which is equivalent where `type` differs: schemathesis 4.32 cannot negate
    `oneOf` in an array ("Cannot generate an array with 1 demanded elements")."""
    for schema in raw_schema["components"]["schemas"].values():
        if "oneOf" in schema:
            schema["anyOf"] = schema.pop("oneOf")
            schema.pop("discriminator", None)
