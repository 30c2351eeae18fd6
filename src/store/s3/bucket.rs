//! `Bucket`: a bucket, a prefix, and the settings of the client.

use std::{fmt, sync::Arc, time::Duration};

use aws_sdk_s3::config::Credentials;
use http::Uri;

use super::{client::Clients, objects::Objects};
use crate::{store::StoreError, util::time::FOREVER};

/// The default of [`Bucket::answer_timeout`].
const DEFAULT_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A bucket in S3 or a compatible server, with a prefix, an endpoint and credentials.
///
/// Every function with a bucket parameter also takes a text: `"bucket"`, `"bucket/prefix"` or
/// `"s3://bucket/prefix"`. Creating a `Bucket` does no I/O. The first use of an invalid text is an
/// error ([`InvalidBucket`] in [`StoreError::Other`]).
///
/// The AWS SDK provides credentials and region: from environment variables (`AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_PROFILE`), the files in `~/.aws`, single sign-on, a
/// web identity, or the role of a container or an EC2 instance ([AWS SDKs: credential
/// providers](https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html)).
///
/// For `MinIO`, Garage and other servers, set [`endpoint`](Self::endpoint) or an environment
/// variable (`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`). With an endpoint, the bucket is part of
/// the path ([`path_style`](Self::path_style) changes that), and the default region is `us-east-1`.
///
/// ```
/// use tower_traffic::store::Bucket;
///
/// let bucket = Bucket::from("s3://traffic/checkout");
/// assert_eq!((bucket.name(), bucket.prefix()), ("traffic", "checkout"));
///
/// let minio = Bucket::from("traffic")
///     .endpoint("http://127.0.0.1:9000")
///     .region("us-east-1");
/// ```
///
/// # Permissions
///
/// Recording needs `s3:PutObject`, `s3:GetObject` (a `HEAD` shows whether an earlier attempt
/// succeeded) and `s3:AbortMultipartUpload`. Reading needs `s3:GetObject` and `s3:ListBucket`.
#[derive(Clone)]
#[must_use]
pub struct Bucket {
    pub(super) settings: Settings,
    clients: Arc<Clients>,
}

#[derive(Clone)]
pub(super) struct Settings {
    /// The text from which the bucket was created, without secrets.
    location: String,
    name: String,
    /// The prefix without slashes at its ends; may be empty.
    prefix: String,
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
    pub(super) path_style: Option<bool>,
    pub(super) answer_timeout: Duration,
    pub(super) credentials: Option<Credentials>,
    pub(super) client: Option<aws_sdk_s3::Client>,
}

impl Bucket {
    /// Creates a bucket from `location`: `bucket`, `bucket/prefix` or `s3://bucket/prefix`.
    pub fn new(location: impl Into<String>) -> Self {
        let location = location.into();
        // Errors and logs contain the location, so keys must not be in it.
        let location = without_user(&location);
        let place = location.strip_prefix("s3://").unwrap_or(&location);
        let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
        let settings = Settings {
            name: name.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            location,
            endpoint: None,
            region: None,
            path_style: None,
            answer_timeout: DEFAULT_ANSWER_TIMEOUT,
            credentials: None,
            client: None,
        };
        Self {
            settings,
            clients: Arc::default(),
        }
    }

    /// Sends requests to the server at `url`, `http://` or `https://` (default: AWS).
    pub fn endpoint(self, url: impl Into<String>) -> Self {
        self.set(|settings| settings.endpoint = Some(url.into()))
    }

    /// Sets the region of the bucket.
    pub fn region(self, region: impl Into<String>) -> Self {
        self.set(|settings| settings.region = Some(region.into()))
    }

    /// Sets whether the bucket is in the path of each URL (`true`, the default with an endpoint) or
    /// in the host name (`false`, the default for AWS).
    pub fn path_style(self, path_style: bool) -> Self {
        self.set(|settings| settings.path_style = Some(path_style))
    }

    /// Limits the time until a response begins, and between two chunks of the response (default 30
    /// s). For an upload, the limit is a second longer for each 128 KiB.
    pub fn answer_timeout(self, timeout: Duration) -> Self {
        self.set(|settings| settings.answer_timeout = timeout.min(FOREVER))
    }

    /// Signs requests with these keys (default: the credentials that the AWS SDK finds).
    pub fn credentials(
        self,
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
    ) -> Self {
        let keys = Credentials::new(
            access_key_id,
            secret_access_key,
            None,
            None,
            "tower-traffic",
        );
        self.set(|settings| settings.credentials = Some(keys))
    }

    /// Uses `client`, with its own credentials, endpoint, time-outs and retries. The corresponding
    /// settings of the bucket are ignored.
    ///
    /// The connections of a client belong to the tokio runtime in which they were created, and a
    /// recorder uploads on its own runtime: do not use `client` elsewhere.
    pub fn client(self, client: aws_sdk_s3::Client) -> Self {
        self.set(|settings| settings.client = Some(client))
    }

    /// Returns the name of the bucket.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Returns the prefix of every key, without a trailing slash; empty for the whole bucket.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.settings.prefix
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self.clients = Arc::default();
        self
    }

    /// Returns the full key of an object: the bucket's prefix, followed by `rest`.
    pub(crate) fn key(&self, rest: &str) -> String {
        if self.settings.prefix.is_empty() {
            rest.to_owned()
        } else {
            format!("{}/{rest}", self.settings.prefix)
        }
    }

    /// Returns the operations on the bucket's objects, with the client that is kept for the current
    /// tokio runtime.
    pub(crate) async fn objects(&self) -> Result<Objects, StoreError> {
        self.check()?;
        let client = self.clients.get(&self.settings).await?;
        let settings = &self.settings;
        let name = settings.name.as_str().into();
        Ok(Objects::new(client, name, settings.answer_timeout))
    }

    /// Checks the location and the endpoint. Names are checked by the rules that all servers share;
    /// AWS has more rules.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let endpoint = self.settings.endpoint.as_deref();
        if let Some(url) = endpoint.filter(|_| self.settings.client.is_none()) {
            check_endpoint(url)?;
        }
        let bad = |reason| {
            let location = self.settings.location.clone();
            Err(StoreError::other(InvalidBucket { location, reason }))
        };
        let name = &self.settings.name;
        let is_name_byte =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if name.contains('@') {
            return bad("must not contain `@`: set keys with `credentials`");
        }
        if name.contains(':') {
            return bad(
                "expected \"bucket/prefix\" or \"s3://bucket/prefix\": set the server with `endpoint`",
            );
        }
        if name.is_empty() {
            return bad("expected \"bucket/prefix\" or \"s3://bucket/prefix\", found no bucket");
        }
        if !(3..=63).contains(&name.len()) || !name.bytes().all(is_name_byte) {
            return bad(
                "a bucket name must have 3 to 63 letters, digits, dots, hyphens and underscores",
            );
        }
        if name.starts_with('.') || name.contains("..") {
            return bad("a bucket name must not begin with a dot or contain two adjacent dots");
        }
        // A key has at most 1,024 bytes, and the prefix must leave some for the rest.
        if self.settings.prefix.len() > 800 {
            return bad("the prefix must not exceed 800 bytes");
        }
        let mut steps = self.settings.prefix.split('/');
        if steps.any(|step| matches!(step, "." | "..")) || self.settings.prefix.contains("//") {
            return bad("the prefix must not have segments that are empty, `.` or `..`");
        }
        if self.settings.prefix.chars().any(char::is_control) {
            return bad("the prefix must not contain control characters");
        }
        Ok(())
    }
}

/// Returns `url` with user and password replaced by `***`, even if `url` is malformed. A secret may
/// contain slashes.
fn without_user(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let host = rest.split('/').next().unwrap_or_default();
    match rest.rsplit_once('@') {
        Some((_, rest)) if host.contains([':', '@']) => format!("{scheme}***@{rest}"),
        _ => url.to_owned(),
    }
}

/// Checks an endpoint. With an invalid one, every request would fail like a transient problem.
pub(super) fn check_endpoint(url: &str) -> Result<(), StoreError> {
    let bad = |reason| {
        let location = without_user(url);
        Err(StoreError::other(InvalidBucket { location, reason }))
    };
    let lower = url.to_ascii_lowercase();
    if !["http://", "https://"]
        .iter()
        .any(|scheme| lower.starts_with(scheme))
    {
        return bad("the endpoint must begin with http:// or https://");
    }
    match url.parse::<Uri>() {
        Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Ok(()),
        _ => bad("the endpoint must be a URL with a host"),
    }
}

/// The error of a location without a bucket name, or of an endpoint that is not a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid bucket {location:?}: {reason}")]
pub struct InvalidBucket {
    location: String,
    reason: &'static str,
}

impl From<&str> for Bucket {
    fn from(location: &str) -> Self {
        Self::new(location)
    }
}

impl From<String> for Bucket {
    fn from(location: String) -> Self {
        Self::new(location)
    }
}

impl From<&Bucket> for Bucket {
    fn from(bucket: &Bucket) -> Self {
        bucket.clone()
    }
}

impl fmt::Display for Bucket {
    /// Writes `s3://bucket/prefix`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.settings.name)?;
        if !self.settings.prefix.is_empty() {
            write!(f, "/{}", self.settings.prefix)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("location", &self.settings.location)
            .field(
                "endpoint",
                &self.settings.endpoint.as_deref().map(without_user),
            )
            .field("region", &self.settings.region)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::config::{BehaviorVersion, Config};

    use super::*;

    fn is_invalid(error: &StoreError) -> bool {
        matches!(error, StoreError::Other(error) if error.is::<InvalidBucket>())
    }

    fn no_client() -> aws_sdk_s3::Client {
        let config = Config::builder().behavior_version(BehaviorVersion::latest());
        aws_sdk_s3::Client::from_conf(config.build())
    }

    #[test]
    fn invalid_bucket_names_are_errors() {
        for (text, name, prefix) in [
            ("bucket", "bucket", ""),
            ("bucket/", "bucket", ""),
            ("s3://bucket/a/b/", "bucket", "a/b"),
        ] {
            let bucket = Bucket::from(text);
            assert_eq!((bucket.name(), bucket.prefix()), (name, prefix));
            bucket.check().unwrap();
        }
        for text in [
            "",
            "s3://",
            "/prefix",
            "b",
            "http://host/bucket",
            "bu cket",
            "../x",
            "bucket/a//b",
            "bucket/../x",
            "bucket/a\nb",
        ] {
            let error = Bucket::from(text).check().unwrap_err();
            assert!(is_invalid(&error), "{text:?}");
        }
    }

    #[tokio::test]
    async fn invalid_endpoints_are_errors() {
        for endpoint in [
            "127.0.0.1:9000",
            "localhost",
            "ftp://h",
            "http://",
            "h:x",
            "",
        ] {
            let error = Bucket::from("bucket").endpoint(endpoint).objects().await;
            let error = error.unwrap_err();
            assert!(is_invalid(&error), "{endpoint:?}");
        }
        let bucket = Bucket::from("bucket").endpoint("127.0.0.1:9000");
        let error = bucket.check().unwrap_err().to_string();
        assert!(error.contains("\"127.0.0.1:9000\""), "{error}");
        assert!(
            error.contains("must begin with http:// or https://"),
            "{error}"
        );
        for endpoint in ["http://127.0.0.1:9000", "https://h/path/", "HTTP://[::1]:1"] {
            Bucket::from("bucket").endpoint(endpoint).check().unwrap();
        }
        // A client has an endpoint of its own.
        let client = no_client();
        bucket.client(client).check().unwrap();
    }

    #[test]
    fn an_error_hides_a_password_in_a_url() {
        let bucket = Bucket::from("bucket/a@b").endpoint("http://AKID:SECRET@h:9000/x");
        let text = format!("{bucket:?}");
        assert!(text.contains("a@b") && text.contains("@h:9000/x"), "{text}");
        assert!(!text.contains("AKID") && !text.contains("SECRET"), "{text}");
        for endpoint in ["AKID:SECRET@h", "ftp://AKID:SEC/SECRET@h"] {
            let bucket = Bucket::from("bucket").endpoint(endpoint);
            let error = bucket.check().unwrap_err();
            let text = format!("{error} {error:?} {bucket:?}");
            assert!(!text.contains("AKID") && !text.contains("SECRET"), "{text}");
        }
        for text in [
            "https://AKID:SECRET@h/bucket",
            "https://AKID:S/SECRET@h/bucket",
            "s3://AKID:SECRET@bucket/prefix",
            "AKID:SECRET@bucket",
            "AKID@bucket",
        ] {
            let bucket = Bucket::from(text);
            let error = bucket.check().unwrap_err();
            assert!(is_invalid(&error), "{text:?}");
            let text = format!("{bucket} {bucket:?} {error} {error:?}");
            assert!(!text.contains("AKID") && !text.contains("SECRET"), "{text}");
        }
    }
}
