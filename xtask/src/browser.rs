//! Login and consent in Chromium; the pictures lie in `target/e2e/screenshots`.

use anyhow::Result;

use crate::e2e::world::World;
use crate::e2e::{BROWSER, walk};
use crate::install;
use crate::suite::Outcome;

pub(crate) fn run() -> Result<Outcome> {
    install::chromium()?;
    let world = World::start("browser")?;
    let server = world.serve_rust()?;
    walk(&world, &server, &BROWSER)
}
