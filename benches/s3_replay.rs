//! Memory use of a replay from S3, independent of the size of the bucket. The server is another
//! process, on loopback.
//!
//! ```text
//! cargo bench --all-features --bench s3_replay                 # 1,000,000 exchanges
//! cargo bench --all-features --bench s3_replay -- 100000       # 100,000 exchanges
//! ```
//!
//! A million exchanges need 1.3 GB in the folder for temporary files. Memory is reported on Linux
//! only.

use std::{
    env,
    error::Error,
    fs,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use futures::{StreamExt, TryStreamExt, stream};
use interop::s3::TestBucket;
use tower_traffic::store::{Bucket, Compression, Disk, Replay, S3, Sink};

type Outcome = Result<(), Box<dyn Error>>;

const COUNT: usize = 1_000_000;

/// Number of corpus exchanges in about 8 MiB of WARC.
const IN_A_SEGMENT: usize = 4_000;

fn main() -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", count] => runtime.block_on(serve(count.parse()?)),
        ["replay", location, endpoint, access_key, secret_key] => {
            let bucket = Bucket::from(location)
                .endpoint(endpoint)
                .credentials(access_key, secret_key);
            runtime.block_on(replay(bucket))
        }
        _ => {
            // Cargo adds a flag of its own.
            let count = arguments.iter().find_map(|count| count.parse().ok());
            run(count.unwrap_or(COUNT))
        }
    }
}

/// Starts the server, and starts a replay when the bucket is full.
fn run(count: usize) -> Outcome {
    let mut server = Command::new(env::current_exe()?)
        .args(["serve", &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut place = String::new();
    if let Some(stdout) = server.stdout.take() {
        BufReader::new(stdout).read_line(&mut place)?;
    }
    let status = Command::new(env::current_exe()?)
        .arg("replay")
        .args(place.split_whitespace())
        .status();
    // The server exits when its standard input closes.
    drop(server.stdin.take());
    server.wait()?;
    if !status?.success() {
        return Err("the replay failed".into());
    }
    Ok(())
}

async fn serve(count: usize) -> Outcome {
    let folder = tempfile::tempdir()?;
    let place = TestBucket::new();
    let start = Instant::now();
    let kinds: Vec<_> = support::corpus::exchanges(IN_A_SEGMENT * 4)
        .chunks(IN_A_SEGMENT)
        .enumerate()
        .map(|(n, exchanges)| {
            let disk = Disk::new(folder.path().join(n.to_string())).compress(Compression::Gzip);
            let exchanges = exchanges.iter().cloned().map(Arc::new).collect();
            futures::executor::block_on(disk.store(exchanges))?;
            let file = fs::read_dir(disk.folder())?.next().ok_or("no file")??;
            Ok(bytes::Bytes::from(fs::read(file.path())?))
        })
        .collect::<Result<_, Box<dyn Error>>>()?;
    let segments = count / IN_A_SEGMENT;
    let put = |n: usize| {
        let (place, content) = (&place, kinds[n % kinds.len()].clone());
        let sequence = n * IN_A_SEGMENT;
        let key =
            format!("dt=2026-11-20/hh=23/20261120T230000Z-1a2b3c4d5e6f-{sequence:010}.warc.gz");
        async move { place.put(&key, content).await }
    };
    let puts = stream::iter(0..segments).map(put).buffer_unordered(2);
    puts.collect::<Vec<_>>().await;
    let bytes: usize = (0..segments).map(|n| kinds[n % kinds.len()].len()).sum();
    eprintln!(
        "{} exchanges in {segments} segments with {bytes} bytes, after {:?}",
        segments * IN_A_SEGMENT,
        start.elapsed()
    );
    println!(
        "s3://{}/{} {} {} {}",
        place.name, place.prefix, place.endpoint, place.access_key, place.secret_key
    );
    std::io::stdout().flush()?;
    // Serves until the parent process closes standard input.
    let mut end = String::new();
    tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut end)).await??;
    Ok(())
}

async fn replay(bucket: Bucket) -> Outcome {
    println!("before: {}", resident());
    let start = Instant::now();
    let mut replay = S3::new(bucket).replay();
    let mut count = 0_usize;
    while replay.try_next().await?.is_some() {
        count += 1;
        if count.is_multiple_of(100_000) {
            println!("{count}: {}", resident());
        }
    }
    println!("{count} exchanges in {:?}: {}", start.elapsed(), resident());
    Ok(())
}

/// Returns the current and the peak resident memory of the process.
fn resident() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    let words = lines.flat_map(str::split_whitespace);
    words.collect::<Vec<_>>().join(" ")
}
