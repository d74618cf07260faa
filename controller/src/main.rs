//! The program `cavalcade`: controller and operator's command line.

fn main() -> std::process::ExitCode {
    cavalcade_controller::cli::main()
}
