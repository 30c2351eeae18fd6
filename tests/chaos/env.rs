//! http4k's environment variables. Each case is a child process, because a process cannot safely
//! change its own variables.

use std::{env, process::Command};

use tower_traffic::chaos::{Latency, Trigger};

/// The output of a child process.
#[test]
#[ignore = "run by the other test, with variables"]
fn child() {
    let latency = Latency::from_env();
    let percentage = Trigger::percentage_from_env();
    println!(
        "<{}> <{}>",
        latency.map_or_else(|bad| bad.to_string(), |latency| latency.to_string()),
        percentage.map_or_else(|bad| bad.to_string(), |trigger| trigger.to_string()),
    );
}

fn said(variables: &[(&str, &str)]) -> String {
    let out = Command::new(env::current_exe().unwrap())
        .args(["--exact", "env::child", "--ignored", "--nocapture"])
        .env_remove("CHAOS_LATENCY_MS_MIN")
        .env_remove("CHAOS_LATENCY_MS_MAX")
        .env_remove("CHAOS_PERCENTAGE")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let line = text.lines().find(|line| line.contains('<'));
    line.unwrap_or_else(|| panic!("{text}"))
        .trim_start_matches(|c| c != '<')
        .to_owned()
}

#[test]
fn variables_are_those_of_http4k() {
    for (variables, latency, percentage) in [
        (
            &[][..],
            "(range = PT0.1S to PT0.5S)",
            "PercentageBased (50%)",
        ),
        (
            &[
                ("CHAOS_LATENCY_MS_MIN", "1000"),
                ("CHAOS_LATENCY_MS_MAX", "2000"),
                ("CHAOS_PERCENTAGE", "75"),
            ],
            "(range = PT1S to PT2S)",
            "PercentageBased (75%)",
        ),
        (
            &[
                ("CHAOS_LATENCY_MS_MAX", " 100 "),
                ("CHAOS_PERCENTAGE", "0.1"),
            ],
            "(range = PT0.1S to PT0.1S)",
            "PercentageBased (0.1%)",
        ),
        (
            &[("CHAOS_LATENCY_MS_MIN", "501"), ("CHAOS_PERCENTAGE", "101")],
            "invalid environment variable CHAOS_LATENCY_MS_MIN: 501 is more than \
             CHAOS_LATENCY_MS_MAX, which is 500",
            "invalid environment variable CHAOS_PERCENTAGE: expected a number from 0 to 100, found 101",
        ),
        (
            &[("CHAOS_LATENCY_MS_MIN", "-1"), ("CHAOS_PERCENTAGE", "NaN")],
            "invalid environment variable CHAOS_LATENCY_MS_MIN: expected a whole number of \
             milliseconds, found \"-1\"",
            "invalid environment variable CHAOS_PERCENTAGE: expected a number from 0 to 100, found NaN",
        ),
        (
            &[("CHAOS_LATENCY_MS_MAX", ""), ("CHAOS_PERCENTAGE", "half")],
            "invalid environment variable CHAOS_LATENCY_MS_MAX: expected a whole number of \
             milliseconds, found \"\"",
            "invalid environment variable CHAOS_PERCENTAGE: expected a number from 0 to 100, found \
             \"half\"",
        ),
    ] {
        assert_eq!(said(variables), format!("<{latency}> <{percentage}>"));
    }
}
