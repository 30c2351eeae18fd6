//! A cluster of three Garage nodes under load: a node is killed and started again, and the bucket
//! has every exchange once.
//!
//! `.ci/garage up FOLDER 3` starts the cluster and prints the environment for this test. Without a
//! cluster the test is reported as ignored.

use std::{
    env,
    process::{Command, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Path, routing::get};
use futures::future::join_all;
use interop::s3::TestBucket;
use libtest_mimic::{Arguments, Trial};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    time::{sleep, timeout},
};
use tower_traffic::{RecordTraffic, store::S3};

/// The time after which the cluster is considered hanging.
const PATIENCE: Duration = Duration::from_mins(5);

fn main() -> ExitCode {
    let names = ["S3_TEST_ENDPOINTS", "S3_TEST_GARAGE", "S3_TEST_FOLDER"];
    let missing = names.into_iter().find(|name| env::var_os(name).is_none());
    if let Some(name) = missing {
        eprintln!("ignored: {name} is not set; `.ci/garage up FOLDER 3` says to what");
    }
    let trial = Trial::test("a_killed_node_loses_no_exchange", || {
        let test = a_killed_node_loses_no_exchange();
        let test = async { timeout(PATIENCE, test).await };
        Ok(Runtime::new()?.block_on(test)?)
    });
    let trials = vec![trial.with_ignored_flag(missing.is_some())];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Calls the script that started the cluster.
async fn garage(command: &'static str, node: usize) {
    let call = move || {
        let script = env::var_os("S3_TEST_GARAGE").unwrap();
        let folder = env::var_os("S3_TEST_FOLDER").unwrap();
        let mut call = Command::new(script);
        call.arg(command).arg(folder).arg(node.to_string());
        assert!(call.status().unwrap().success(), "{command} {node}");
    };
    tokio::task::spawn_blocking(call).await.unwrap();
}

async fn a_killed_node_loses_no_exchange() {
    let endpoints = env::var("S3_TEST_ENDPOINTS").unwrap();
    let endpoints: Vec<_> = endpoints.split(',').map(str::to_owned).collect();
    assert_eq!(endpoints.len(), 3, "three nodes");
    let place = TestBucket::new();
    let spool = tempfile::tempdir().unwrap();
    // An app for each node: the apps of the other two nodes must not be affected.
    let stores: Vec<_> = endpoints
        .iter()
        .map(|endpoint| {
            let bucket = place
                .bucket_at(endpoint)
                .answer_timeout(Duration::from_secs(5));
            S3::new(bucket)
                .spool(spool.path())
                .max_segment_bytes(50_000)
        })
        .collect();
    let numbers = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let mut recorders = Vec::new();
    let mut loads = Vec::new();
    for store in &stores {
        let record = RecordTraffic::new(store.clone()).store_timeout(Duration::from_mins(2));
        recorders.push(record.recorder());
        let app = Router::new().route(
            "/numbers/{number}",
            get(|Path(number): Path<u64>| async move { number.to_string() }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app.layer(record)).await });
        for _ in 0..2 {
            loads.push(tokio::spawn(load(
                url.clone(),
                numbers.clone(),
                stop.clone(),
            )));
        }
    }

    let uploaded = |node: usize, more: u64| {
        let store = stores[node].clone();
        let before = store.stats().uploaded;
        async move {
            while store.stats().uploaded < before + more {
                sleep(Duration::from_millis(10)).await;
            }
        }
    };
    for node in 0..3 {
        uploaded(node, 2).await;
    }
    garage("kill", 2).await;
    let retried = stores[1].stats().retried;
    while stores[1].stats().retried == retried {
        sleep(Duration::from_millis(10)).await;
    }
    // Two of three nodes are enough for the other apps.
    uploaded(0, 2).await;
    garage("start", 2).await;
    // A flush ends the pause before the next attempt.
    recorders[1].flush().await;
    uploaded(1, 2).await;
    stop.store(true, Ordering::Relaxed);
    join_all(loads)
        .await
        .into_iter()
        .for_each(|load| load.unwrap());

    for (recorder, store) in recorders.iter().zip(&stores) {
        let stats = recorder.flush().await;
        assert_eq!((stats.dropped.total(), stats.queued), (0, 0));
        assert_eq!(store.stats().spooled, 0, "{:?}", store.stats());
    }
    let asked = numbers.load(Ordering::Relaxed);
    let recorded = place.recorded().await;
    assert!(
        recorded.into_keys().eq(0..asked),
        "not the {asked} that were asked"
    );
    let retried: Vec<_> = stores.iter().map(|store| store.stats().retried).collect();
    eprintln!("{asked} exchanges, each there once; attempts that failed, by node: {retried:?}");
}

/// Sends requests with increasing numbers.
async fn load(url: String, numbers: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let client = reqwest::Client::new();
    while !stop.load(Ordering::Relaxed) {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let answer = client.get(format!("{url}/numbers/{number}")).send().await;
        let answer = answer.unwrap().error_for_status().unwrap();
        assert_eq!(answer.text().await.unwrap(), number.to_string());
        // Three nodes and their clients may share two processors.
        sleep(Duration::from_millis(1)).await;
    }
}
