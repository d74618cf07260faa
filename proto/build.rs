//! Compiles the protobuf files without protoc, and lists every method for the test that no method is left unguarded.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

const FILES: [&str; 3] = ["link.proto", "enrolment.proto", "operator.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let mut methods = String::from("/// Path of every gRPC method of these services.\npub const METHODS: &[&str] = &[\n");
    for file in &descriptors.file {
        for service in &file.service {
            for method in &service.method {
                writeln!(methods, "    \"/{}.{}/{}\",", file.package(), service.name(), method.name())?;
            }
        }
    }
    methods.push_str("];\n");
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("methods.rs"), methods)?;
    tonic_prost_build::configure()
        .bytes(".cavalcade.v1.ArtifactChunk")
        // Its Debug is written by hand, without the value.
        .skip_debug([".cavalcade.v1.GivenSecret"])
        .boxed(".cavalcade.v1.FromAgent.message.report")
        .boxed(".cavalcade.v1.ToAgent.message.offer")
        .boxed(".cavalcade.v1.SequencedReport.report.ended")
        .compile_fds(descriptors)?;
    Ok(())
}
