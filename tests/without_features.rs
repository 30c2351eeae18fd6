//! Recordings and documents that need a feature which is off: the error names the feature.
//!
//! `cargo test --no-default-features --features chaos --test without_features`

#[cfg(not(all(feature = "gzip", feature = "har", feature = "zstd")))]
mod recordings {
    use std::fs;

    use futures::{StreamExt, executor::block_on};
    use tower_traffic::{
        StoreError,
        store::{Replay, open},
    };

    /// The errors in reading a file of this name and content.
    fn errors(name: &str, content: &[u8]) -> Vec<StoreError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        let recording = block_on(open(file.as_path())).unwrap();
        let items: Vec<_> = block_on(recording.replay().collect());
        items.into_iter().map(Result::unwrap_err).collect()
    }

    fn assert_needs(feature: &str, name: &str, content: &[u8]) {
        let errors = errors(name, content);
        let [StoreError::Unsupported { reason, .. }] = &errors[..] else {
            panic!("{errors:?}");
        };
        assert!(reason.contains(&format!("`{feature}`")), "{reason}");
    }

    #[cfg(not(feature = "har"))]
    #[test]
    fn a_har_file_names_its_feature() {
        assert_needs("har", "x.har", b"{\"log\": {}}");
    }

    #[cfg(not(feature = "gzip"))]
    #[test]
    fn a_gzip_file_names_its_feature() {
        assert_needs("gzip", "x.warc", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
    }

    #[cfg(not(feature = "zstd"))]
    #[test]
    fn a_zstd_file_names_its_feature() {
        assert_needs(
            "zstd",
            "x.warc",
            &[0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0, 0, 0],
        );
    }
}

#[cfg(all(feature = "chaos", not(feature = "chaos-destructive")))]
#[test]
fn destructive_behaviors_name_their_feature() {
    use tower_traffic::chaos::Stage;

    for name in ["memory", "overflow", "kill", "block"] {
        let stage = serde_json::json!({
            "type": "trigger", "trigger": { "type": "always" }, "behaviour": { "type": name },
        });
        let error = stage.to_string().parse::<Stage>().unwrap_err();
        assert_eq!(error.path(), "$.behaviour.type");
        assert!(error.reason().contains("chaos-destructive"), "{error}");
    }
}

#[cfg(not(feature = "decompress"))]
#[tokio::test]
async fn a_compressed_body_is_summarized() {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use axum::{Router, body::Body, http::Request};
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    use tower_traffic::DebugDump;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let output = Output::default();
    let dump = DebugDump::new(output.clone());
    let headers = [("content-encoding", "gzip"), ("content-type", "text/plain")];
    let app = Router::new().fallback(async move || (headers, "12345"));
    let request = Request::new(Body::empty());
    let response = app.layer(dump.clone()).oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    dump.printer().flush().await;
    let output = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let end = "\n\n  * 5 bytes, gzip, not decoded: built without the feature `decompress`, \
               text/plain\n\n";
    assert!(output.ends_with(end), "{output}");
}
