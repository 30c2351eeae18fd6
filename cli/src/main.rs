//! `tower-traffic`: looks into recordings of HTTP traffic, converts and checks them.
//!
//! Exit codes: 0 if all is well; 1 if a part of a recording cannot be read (the rest was); 2 if what
//! was asked for cannot be done, with the reason on the standard error.

mod args;
mod convert;
mod failure;
mod filter;
mod inspect;
mod json;
mod output;
mod place;
mod progress;
mod show;
mod source;
mod table;
mod target;
mod text;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use self::{
    args::{Args, Command},
    failure::Failure,
};

/// What came of a command that went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    /// A part of the recording could not be read.
    Damaged,
}

fn main() -> ExitCode {
    // Ends the process with code 2 where the arguments are wrong.
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(run(args.command));
            // Whoever still reads ahead is not waited for.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Failure::Start(error)),
    };
    match result {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Damaged) => ExitCode::from(1),
        // `| head` has seen enough.
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
