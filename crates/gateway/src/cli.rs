//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand};

use crate::demo::Demo;
use crate::explain::Explain;
use crate::import::Import;
use crate::{ask, demo, explain, import, key, run};

/// An MCP gateway: every MCP client reaches every MCP server through one door.
#[derive(Parser)]
#[command(name = "causeway", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve what a file describes, until Ctrl-C
    Run {
        /// The file
        #[arg(default_value = "gateway.yaml")]
        file: PathBuf,
    },
    /// Tell every mistake in a file, without a network
    Check {
        /// The file
        #[arg(default_value = "gateway.yaml")]
        file: PathBuf,
    },
    /// Show the upstreams of a running gateway
    Status {
        /// Its admin address
        #[arg(default_value = "http://127.0.0.1:7090")]
        admin: String,
        /// Who still comes by legacy SSE, in place of the upstreams
        #[arg(long)]
        legacy: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask a running gateway whether it is well; exits 0 or 1
    Health {
        /// Its address, or that of a health page
        #[arg(default_value = "http://127.0.0.1:7080/health")]
        url: String,
    },
    /// What a caller sees at an endpoint of a running gateway; with `--as` what somebody would see by a file
    Tools(ask::Tools),
    /// Call a tool at an endpoint of a running gateway
    Call(ask::Call),
    /// Which rule of a file decides a call, and why
    Explain(Explain),
    /// Keys of callers
    Key {
        #[command(subcommand)]
        deed: KeyDeed,
    },
    /// Make our file of those that clients have
    Import(Import),
    /// A small MCP server with one of everything, for first steps and tests
    Demo(Demo),
    /// Ends processes that would outlive the gateway; started by it
    #[command(hide = true)]
    Guard,
}

#[derive(Subcommand)]
enum KeyDeed {
    /// Make a key and print it, once; and what the file is to say of it
    New {
        /// What its bearer is called
        #[arg(default_value = "ci")]
        name: String,
    },
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|mut error| {
        let about = error.get(ContextKind::InvalidArg);
        if matches!(about, Some(ContextValue::String(argument)) if argument.starts_with("--header")) {
            // It may hold a token, and this may be a log that others read.
            error.insert(ContextKind::InvalidValue, ContextValue::String("…".into()));
        }
        error.exit()
    });
    match arguments.command {
        Command::Run { file } => run::run(&file),
        Command::Check { file } => run::check(&file),
        Command::Status { admin, legacy, json } => ask::status(&admin, legacy, json),
        Command::Health { url } => ask::health(&url),
        Command::Tools(arguments) => ask::tools(&arguments),
        Command::Call(arguments) => ask::call(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Key {
            deed: KeyDeed::New { name },
        } => key::new(&name),
        Command::Import(arguments) => import::import(&arguments),
        Command::Demo(arguments) => run_demo(arguments),
        Command::Guard => {
            upstream::stdio::guard::keep(std::io::stdin().lock());
            ExitCode::SUCCESS
        }
    }
}

fn run_demo(arguments: Demo) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(demo::run(arguments)),
        Err(error) => {
            eprintln!("causeway demo: no runtime: {error}");
            ExitCode::FAILURE
        }
    }
}
