//! The program.

fn main() -> std::process::ExitCode {
    wiring::main()
}
