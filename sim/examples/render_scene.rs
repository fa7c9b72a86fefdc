//! Renders a scene of the project's own as a picture: `render_scene WIDTH HEIGHT SEED FILE` (PNG, or PPM for raw bytes).

use std::env;
use std::error::Error;

use cfm_sim::scene::Scene;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [width, height, seed, file] = arguments.as_slice() else {
        return Err("usage: render_scene WIDTH HEIGHT SEED FILE".into());
    };
    let scene = Scene::render(width.parse()?, height.parse()?, seed.parse()?);
    scene.photo.save(file)?;
    Ok(())
}
