//! What stands on a street, and how it looks through the windscreen.

use super::SceneClass;
use super::canvas::{Canvas, Color, mix, scale};
use super::noise::{cloudy, lattice, smooth};
use super::street::{EYE, Street, hazy};

/// A thing with a distance, so that near ones are painted over far ones.
pub(super) enum Thing {
    House {
        side: f64,
        z1: f64,
        height: f64,
        color: Color,
    },
    Fence {
        side: f64,
        z1: f64,
    },
    Tree {
        x: f64,
        height: f64,
    },
    Pole {
        x: f64,
        height: f64,
        sign: Option<Color>,
    },
    Car {
        x: f64,
        color: Color,
    },
    Person {
        x: f64,
        coat: Color,
        bicycle: bool,
    },
}

impl Street {
    pub(super) fn draw(&self, canvas: &mut Canvas, z: f64, thing: &Thing, seed: u64) {
        let camera = self.camera;
        match *thing {
            Thing::House {
                side,
                z1,
                height,
                color,
            } => self.house(canvas, [z, z1], side, height, color, seed),
            Thing::Fence { side, z1 } => self.fence(canvas, [z, z1], side, seed),
            Thing::Tree { x, height } => {
                let trunk = camera.upright(x, z, 0.35, height * 0.5, 0.0);
                canvas.paint(trunk, SceneClass::Tree, |_, _| {
                    Some(hazy([74.0, 62.0, 50.0], z))
                });
                let crown = camera.upright(x, z, height * 0.8, height * 0.75, height * 0.28);
                canvas.paint(crown, SceneClass::Tree, |px, py| {
                    let (u, v) = place_in(crown, px, py);
                    let leaf = cloudy(u * 4.0, v * 4.0, seed);
                    let inside = u * u + v * v < 0.55 + 0.7 * (leaf - 0.25);
                    let light = 0.55 + 0.9 * leaf - 0.22 * v;
                    inside.then(|| hazy(scale([84.0, 98.0, 56.0], light), z))
                });
            }
            Thing::Pole { x, height, sign } => {
                let width = 0.14_f64.max(1.2 * z / camera.focal);
                let pole = camera.upright(x, z, width, height, 0.0);
                canvas.paint(pole, SceneClass::Pole, |px, _| {
                    let (u, _) = place_in(pole, px, pole[1]);
                    Some(hazy(scale([96.0, 98.0, 98.0], 1.0 - 0.3 * u), z))
                });
                if let Some(color) = sign {
                    let plate = camera.upright(x, z, 0.9, 0.9, height - 0.9);
                    canvas.paint(plate, SceneClass::Sign, |px, py| {
                        let (u, v) = place_in(plate, px, py);
                        let radius = u * u + v * v;
                        let white = radius < 0.35 && v.abs() < 0.3;
                        let paint = if white { [226.0; 3] } else { color };
                        (radius < 1.0).then(|| hazy(paint, z))
                    });
                }
            }
            Thing::Car { x, color } => self.car(canvas, z, x, color),
            Thing::Person { x, coat, bicycle } => self.person(canvas, z, x, coat, bicycle),
        }
    }

    fn house(
        &self,
        canvas: &mut Canvas,
        [z0, z1]: [f64; 2],
        side: f64,
        height: f64,
        color: Color,
        seed: u64,
    ) {
        let camera = self.camera;
        let x = side * (self.road + self.pavement);
        // The side that faces the sun is brighter.
        let sun = if side < 0.0 { 0.85 } else { 1.05 };
        let (near, far) = (camera.x(x, z0), camera.x(x, z1));
        let limits = [
            near.min(far),
            camera.y(height, z0),
            near.max(far),
            camera.y(0.0, z0),
        ];
        canvas.paint(limits, SceneClass::Building, |px, py| {
            let z = camera.focal * x / (px - camera.vanish);
            let y = EYE - (py - camera.horizon) * z / camera.focal;
            if !(0.0..height).contains(&y) {
                return None;
            }
            let (u, v) = ((z / 2.4).fract(), (y / 3.0).fract());
            let window = (0.25..0.75).contains(&u) && (0.3..0.8).contains(&v) && y < height - 0.6;
            let frame = window && !((0.3..0.7).contains(&u) && (0.35..0.75).contains(&v));
            let base = if frame {
                [206.0, 202.0, 194.0]
            } else if window {
                let pane = lattice((z / 2.4) as i64, (y / 3.0) as i64, seed);
                mix([40.0, 46.0, 54.0], [120.0, 132.0, 144.0], pane * pane)
            } else if y > height - 0.35 {
                scale(color, 0.6)
            } else {
                color
            };
            let brick = 0.9
                + 0.14 * smooth(z * 5.0, y * 9.0, seed)
                + 0.08 * cloudy(z * 0.4, y * 0.4, seed ^ 9);
            Some(hazy(scale(base, sun * brick), z))
        });
    }

    fn fence(&self, canvas: &mut Canvas, [z0, z1]: [f64; 2], side: f64, seed: u64) {
        let camera = self.camera;
        let x = side * (self.road + self.pavement);
        let (near, far) = (camera.x(x, z0), camera.x(x, z1));
        let limits = [
            near.min(far),
            camera.y(1.4, z0),
            near.max(far),
            camera.y(0.0, z0),
        ];
        canvas.paint(limits, SceneClass::Fence, |px, py| {
            let z = camera.focal * x / (px - camera.vanish);
            let y = EYE - (py - camera.horizon) * z / camera.focal;
            let board = lattice((z / 0.3).floor() as i64, 0, seed);
            let gap = (z / 0.3).fract() < 0.15;
            let light = if gap { 0.6 } else { 0.85 + 0.25 * board };
            (0.0..1.25 + 0.1 * board)
                .contains(&y)
                .then(|| hazy(scale([112.0, 88.0, 66.0], light), z))
        });
    }

    fn car(&self, canvas: &mut Canvas, z: f64, x: f64, color: Color) {
        let camera = self.camera;
        let under = camera.upright(x, z, 2.1, 0.35, -0.2);
        canvas.shadow(under, |px, py| {
            let (u, v) = place_in(under, px, py);
            if u * u + v * v < 1.0 { 0.45 } else { 1.0 }
        });
        let car = camera.upright(x, z, 1.8, 1.45, 0.0);
        canvas.paint(car, SceneClass::Car, |px, py| {
            let (u, v) = place_in(car, px, py);
            // v runs from -1 (roof) to 1 (road).
            let half = if v < 0.0 {
                0.78 + 0.2 * (v + 1.0)
            } else {
                0.98
            };
            let wheel = v > 0.72;
            if u.abs() > half || (wheel && u.abs() < 0.58) || (v < -0.9 && u.abs() > 0.7) {
                return None;
            }
            let window = (-0.82..-0.15).contains(&v) && u.abs() < half - 0.14;
            let light = (0.12..0.34).contains(&v) && u.abs() > 0.7;
            let plate = (0.36..0.52).contains(&v) && u.abs() < 0.28;
            let base = if wheel {
                [26.0, 26.0, 28.0]
            } else if window {
                mix(
                    [110.0, 122.0, 132.0],
                    [36.0, 40.0, 46.0],
                    (v + 0.9).min(1.0),
                )
            } else if light {
                [176.0, 40.0, 36.0]
            } else if plate {
                [214.0, 206.0, 140.0]
            } else {
                scale(color, 1.08 - 0.22 * v)
            };
            Some(hazy(base, z))
        });
    }

    fn person(&self, canvas: &mut Canvas, z: f64, x: f64, coat: Color, bicycle: bool) {
        let camera = self.camera;
        let (class, lift) = if bicycle {
            (SceneClass::Bicyclist, 0.35)
        } else {
            (SceneClass::Pedestrian, 0.0)
        };
        let under = camera.upright(x, z, 0.9, 0.25, -0.12);
        canvas.shadow(under, |px, py| {
            let (u, v) = place_in(under, px, py);
            if u * u + v * v < 1.0 { 0.6 } else { 1.0 }
        });
        if bicycle {
            let wheels = camera.upright(x, z, 0.6, 0.75, 0.0);
            canvas.paint(wheels, class, |px, py| {
                let (u, v) = place_in(wheels, px, py);
                let spoke = u.abs() < 0.16 || (v < -0.8 && u.abs() < 0.9);
                spoke.then(|| hazy([34.0, 34.0, 36.0], z))
            });
        }
        let body = camera.upright(x, z, 0.62, 1.75 - lift, lift);
        canvas.paint(body, class, |px, py| {
            let (u, v) = place_in(body, px, py);
            let head = u * u / 0.12 + (v + 0.84) * (v + 0.84) / 0.026 < 1.0;
            let torso = (-0.7..0.05).contains(&v) && u.abs() < 0.82 + 0.2 * v;
            let legs = v >= 0.05 && (u.abs() < 0.62 - 0.12 * v) && (u.abs() > 0.08 * v);
            let base = if head {
                [184.0, 142.0, 120.0]
            } else if torso {
                scale(coat, 1.0 - 0.25 * u)
            } else if legs {
                [44.0, 46.0, 58.0]
            } else {
                return None;
            };
            Some(hazy(base, z))
        });
    }
}

/// Where a point lies in a box, -1 to 1 both ways.
fn place_in([left, top, right, bottom]: [f64; 4], x: f64, y: f64) -> (f64, f64) {
    let share = |low: f64, high: f64, at: f64| 2.0 * (at - low) / (high - low).max(1e-9) - 1.0;
    (share(left, right, x), share(top, bottom, y))
}
