//! `S3Error`: the failures of S3, classified from the errors of the SDK.

use std::{error::Error, fmt};

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::{store::StoreError, util::error::source_chain};

/// The failure of a request to S3: the [source](Error::source) of a [`StoreError::Io`].
///
/// ```
/// use std::error::Error;
/// use tower_traffic::store::{S3Error, S3Problem, StoreError};
///
/// fn is_denied(error: &StoreError) -> bool {
///     let error = error.source().and_then(|source| source.downcast_ref::<S3Error>());
///     error.is_some_and(|error| error.problem() == S3Problem::Denied)
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{problem} ({source})")]
pub struct S3Error {
    problem: S3Problem,
    source: Box<dyn Error + Send + Sync>,
}

impl S3Error {
    pub(super) fn new(problem: S3Problem, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            problem,
            source: source.into(),
        }
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn problem(&self) -> S3Problem {
        self.problem
    }
}

/// The kind of a failed request to S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum S3Problem {
    /// The object does not exist.
    NotFound,
    /// The bucket does not exist.
    NoSuchBucket,
    /// An object with this key exists, and must not be replaced.
    AlreadyThere,
    /// A retry may succeed: there was no connection, no response in time, 500, 503 (`SlowDown`),
    /// 429, or a concurrent change of the object (409).
    Transient,
    /// The credentials are missing, unknown or insufficient.
    Denied,
    /// The clock of this machine is wrong.
    ClockSkew,
    /// The bucket is in another region.
    WrongRegion,
    /// The object exceeds the maximum size.
    TooLarge,
    /// The server does not implement a part of the request, such as a condition.
    NotImplemented,
    /// Any other refusal.
    Refused,
}

impl S3Problem {
    /// Whether a retry of the same request may succeed.
    #[must_use]
    pub fn is_transient(self) -> bool {
        self == Self::Transient
    }

    /// Returns the error of a request that names no existing object: 404 then means the bucket. Some
    /// servers send no code that tells the two apart.
    pub(super) fn of_bucket(error: StoreError) -> StoreError {
        if Self::of(&error) != Some(Self::NotFound) {
            return error;
        }
        match error {
            StoreError::Io {
                action,
                location,
                source,
            } => StoreError::failed(action, location, S3Error::new(Self::NoSuchBucket, source)),
            error => error,
        }
    }

    /// Returns the problem in an error, if it comes from S3.
    pub(crate) fn of(error: &StoreError) -> Option<Self> {
        let error: &S3Error = error.source()?.downcast_ref()?;
        Some(error.problem)
    }
}

impl fmt::Display for S3Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "object not found",
            Self::NoSuchBucket => "bucket not found: create it, or correct its name",
            Self::AlreadyThere => "an object with this key exists",
            Self::Transient => "S3 is unreachable or unavailable",
            Self::Denied => "access denied: check the credentials and the bucket's policy",
            Self::ClockSkew => "the clocks of this machine and of S3 differ: set the clock",
            Self::WrongRegion => "the bucket is in another region: set that region",
            Self::TooLarge => "the object exceeds the limit",
            Self::NotImplemented => "S3 does not implement a part of the request",
            Self::Refused => "S3 refused the request",
        })
    }
}

/// Classifies an error of the SDK, and describes it.
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
            let mut detail = format!("{status}");
            for part in [error.code(), error.message()].into_iter().flatten() {
                detail.push(' ');
                detail.push_str(part);
            }
            if let Some(region) = region.filter(|_| problem == S3Problem::WrongRegion) {
                detail.push_str("; its region is ");
                detail.push_str(region);
            }
            (problem, detail)
        }
        SdkError::ResponseError(response) => {
            let status = response.raw().status().as_u16();
            let problem = if (200..300).contains(&status) {
                // The response was incomplete.
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
            let detail = source_chain(error);
            (unsent(&detail), detail)
        }
    }
}

/// Classifies a request that was not sent: the SDK reports missing credentials only by text.
fn unsent(detail: &str) -> S3Problem {
    let lower = detail.to_ascii_lowercase();
    if lower.contains("credential") || lower.contains("identity") {
        S3Problem::Denied
    } else if lower.contains("region") {
        S3Problem::WrongRegion
    } else {
        S3Problem::Transient
    }
}

/// Classifies a status and an error code
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList>). A
/// response to HEAD has no code.
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
        // Servers that are not AWS, for a key that must not exist.
        (409, code) if code.ends_with("AlreadyExists") => S3Problem::AlreadyThere,
        (_, "NotImplemented") | (501, _) => S3Problem::NotImplemented,
        // Some of these codes come with status 400: the body was late, incomplete or damaged.
        (
            _,
            "BadDigest"
            | "BandwidthLimitExceeded"
            | "ConditionalRequestConflict"
            | "IncompleteBody"
            | "InternalError"
            | "NoSuchUpload"
            | "OperationAborted"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestTimeout"
            | "ServerBusy"
            | "ServiceUnavailable"
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
        // The server met an error after it had sent the status, or the body is not of S3.
        (200..=299, _) => S3Problem::Transient,
        _ => S3Problem::Refused,
    }
}
