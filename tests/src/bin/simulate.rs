//! Runs the seeded simulation: `simulate --seeds 100`, or one seed with its whole trace: `simulate --seed 17`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use cavalcade_tests::simulation::run::simulate;
use clap::Parser;

#[derive(Debug, Parser)]
#[command(about)]
struct Arguments {
    /// One seed, with its trace.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let (from, to) = arguments.seed.map_or((arguments.from, arguments.from + arguments.seeds), |s| (s, s + 1));
    let mut bad = 0;
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for seed in from..to {
        let trace = simulate(seed, None)?;
        for (what, n) in trace.counts {
            *counts.entry(what).or_default() += n;
        }
        if arguments.seed.is_some() {
            trace.lines.iter().for_each(|l| println!("{l}"));
        }
        if !trace.violations.is_empty() {
            bad += 1;
            println!("seed {seed}: violated; replay with: simulate --seed {seed}");
            trace.violations.iter().for_each(|v| println!("  {v}"));
        }
    }
    for (what, n) in counts {
        println!("{n:>8} {what}");
    }
    println!("{} seeds, {bad} with violations", to - from);
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
