//! `tower-traffic`: inspects, converts and verifies recordings of HTTP traffic.
//!
//! Exit codes: 0 on success; 1 if a part of the recording is damaged and the rest was read; 2 on
//! failure, with the reason on the standard error.

mod args;
mod atomic_path;
mod convert;
mod escape;
mod failure;
mod filter;
mod grpc;
mod inspect;
mod json;
mod output;
mod progress;
mod show;
mod source;
mod table;
mod target;
mod text;
mod time;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use self::{
    args::{Args, Command},
    failure::Failure,
};

/// The outcome of a command that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    /// A part of the recording could not be read.
    Damaged,
}

fn main() -> ExitCode {
    // Exits with code 2 if the arguments are invalid.
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(run(args.command));
            // Threads that read ahead are not awaited.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Failure::Start(error)),
    };
    match result {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Damaged) => ExitCode::from(1),
        // As with `| head`.
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(format_args!("error: {failure}"));
            ExitCode::from(2)
        }
    }
}

async fn run(command: Command) -> Result<Outcome, Failure> {
    match command {
        Command::Inspect(args) => inspect::run(&args).await,
        Command::Convert(args) => convert::run(args).await,
        Command::Verify(args) => verify::run(args).await,
    }
}
