//! Every example file, played with the real kubectl.

use std::path::Path;

#[test]
fn every_example_has_the_outcome_that_its_head_promises() {
    let Some(kubectl) = testkit::kubectl_on_path() else { return };
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(sandbox::demo::run(&testdata, kubectl)).expect("all outcomes are as expected");
}
