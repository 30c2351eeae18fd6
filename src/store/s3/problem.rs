//! What the SDK's errors mean.

use std::error::Error;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::{store::S3Problem, util::error::source_chain};

/// The kind of a failure, and what was said about it.
pub(super) fn classify<E>(error: &SdkError<E>) -> (S3Problem, String)
where
    E: Error + ProvideErrorMetadata + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let error = service.err();
            let status = service.raw().status().as_u16();
            let region = service.raw().headers().get("x-amz-bucket-region");
            let problem = problem(status, error.code());
            let mut said = format!("{status}");
            for part in [error.code(), error.message()].into_iter().flatten() {
                said.push(' ');
                said.push_str(part);
            }
            if let Some(region) = region.filter(|_| problem == S3Problem::WrongRegion) {
                said.push_str("; its region is ");
                said.push_str(region);
            }
            (problem, said)
        }
        SdkError::ResponseError(response) => {
            let status = response.raw().status().as_u16();
            let problem = if (200..300).contains(&status) {
                // What came is no whole answer.
                S3Problem::Transient
            } else {
                problem(status, None)
            };
            (problem, format!("{status}, {}", source_chain(error)))
        }
        SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => {
            (S3Problem::Transient, source_chain(error))
        }
        SdkError::TimeoutError(_) => (S3Problem::Transient, source_chain(error)),
        _ => {
            let said = source_chain(error);
            (unsent(&said), said)
        }
    }
}

/// Of a request that never left: the SDK tells by text only that it has no credentials.
fn unsent(said: &str) -> S3Problem {
    let lower = said.to_ascii_lowercase();
    if lower.contains("credential") || lower.contains("identity") {
        S3Problem::Denied
    } else if lower.contains("region") {
        S3Problem::WrongRegion
    } else {
        S3Problem::Transient
    }
}

/// The codes are those of
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList>; an answer to
/// HEAD has none.
fn problem(status: u16, code: Option<&str>) -> S3Problem {
    match (status, code.unwrap_or_default()) {
        (_, "NoSuchBucket") => S3Problem::NoSuchBucket,
        (_, "RequestTimeTooSkewed" | "RequestInTheFuture" | "RequestExpired") => {
            S3Problem::ClockSkew
        }
        (
            _,
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
        )
        | (301, _) => S3Problem::WrongRegion,
        (_, "PreconditionFailed") | (412, _) => S3Problem::AlreadyThere,
        // Of these, some stand under 400: the body did not arrive, or not in time, or damaged.
        (
            _,
            "BadDigest"
            | "IncompleteBody"
            | "InternalError"
            | "NoSuchUpload"
            | "RequestTimeout"
            | "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "TooManyRequests"
            | "XAmzContentChecksumMismatch"
            | "XAmzContentSHA256Mismatch",
        )
        | (307 | 408 | 409 | 425 | 429 | 500 | 502..=599, _) => S3Problem::Transient,
        (404, _) => S3Problem::NotFound,
        (401 | 403, _)
        | (
            _,
            "AccessDenied"
            | "ExpiredToken"
            | "InvalidAccessKeyId"
            | "InvalidToken"
            | "SignatureDoesNotMatch"
            | "TokenRefreshRequired",
        ) => S3Problem::Denied,
        _ => S3Problem::Refused,
    }
}
