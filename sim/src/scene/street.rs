//! The street: what stands where, and how it looks through the windscreen.

use super::SceneClass;
use super::canvas::{Canvas, Color, mix, scale};
use super::noise::{cloudy, lattice, smooth};

/// Height of the camera above the road, in metres.
const EYE: f64 = 1.5;
/// Where the street ends, in metres.
const FAR: f64 = 110.0;
/// Colour of far things.
const HAZE: Color = [196.0, 204.0, 210.0];

/// Random numbers from the scene's seed.
struct Dice {
    seed: u64,
    drawn: i64,
}

impl Dice {
    fn unit(&mut self) -> f64 {
        self.drawn += 1;
        lattice(self.drawn, -77, self.seed)
    }

    fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    fn seed(&mut self) -> u64 {
        (self.unit() * (1_u64 << 53) as f64) as u64
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.unit() * from.len() as f64) as usize]
    }
}

/// A pinhole camera that looks along the street: metres to pixels.
#[derive(Clone, Copy)]
struct Camera {
    focal: f64,
    vanish: f64,
    horizon: f64,
}

impl Camera {
    fn x(self, x: f64, z: f64) -> f64 {
        self.vanish + self.focal * x / z
    }

    fn y(self, y: f64, z: f64) -> f64 {
        self.horizon + self.focal * (EYE - y) / z
    }

    /// The box of something upright at `x`, `z` of that size (width, height), standing `above` the ground.
    fn upright(self, x: f64, z: f64, width: f64, height: f64, above: f64) -> [f64; 4] {
        [
            self.x(x - width / 2.0, z),
            self.y(above + height, z),
            self.x(x + width / 2.0, z),
            self.y(above, z),
        ]
    }
}

/// A thing with a distance, so that near ones are painted over far ones.
enum Thing {
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

/// A thing in its place.
struct Placed {
    /// Where it stands, in metres from the camera; walls: where they begin.
    z: f64,
    /// Things are painted in falling order. A wall counts by its far end, since whatever stands before it on the
    /// pavement is nearer; what stands behind it comes just before it.
    order: f64,
    thing: Thing,
}

impl Placed {
    fn at(z: f64, thing: Thing) -> Self {
        Self { z, order: z, thing }
    }
}

/// Everything about a street but its canvas.
struct Street {
    camera: Camera,
    seed: u64,
    road: f64,
    pavement: f64,
}

/// Paints the street of a seed.
pub(super) fn paint(width: u32, height: u32, seed: u64) -> Canvas {
    let mut dice = Dice { seed, drawn: 0 };
    let mut canvas = Canvas::new(width, height);
    let street = Street {
        camera: Camera {
            focal: f64::from(width) * dice.range(0.85, 1.05),
            vanish: f64::from(width) * dice.range(0.42, 0.58),
            horizon: f64::from(height) * dice.range(0.42, 0.5),
        },
        seed,
        road: dice.range(3.6, 5.0),
        pavement: dice.range(2.0, 3.5),
    };
    street.sky(&mut canvas);
    street.backdrop(&mut canvas);
    street.ground(&mut canvas);
    let mut things = street.populate(&mut dice);
    things.sort_by(|a, b| b.order.total_cmp(&a.order));
    for placed in things {
        let seed = dice.seed();
        street.draw(&mut canvas, placed.z, &placed.thing, seed);
    }
    canvas
}

fn hazy(color: Color, z: f64) -> Color {
    mix(color, HAZE, (z / 220.0).min(0.6))
}

impl Street {
    fn populate(&self, dice: &mut Dice) -> Vec<Placed> {
        const WALLS: [Color; 6] = [
            [128.0, 84.0, 70.0],
            [168.0, 150.0, 128.0],
            [120.0, 116.0, 112.0],
            [150.0, 112.0, 88.0],
            [196.0, 188.0, 172.0],
            [104.0, 92.0, 86.0],
        ];
        const PAINTS: [Color; 6] = [
            [150.0, 24.0, 30.0],
            [36.0, 52.0, 96.0],
            [188.0, 192.0, 196.0],
            [34.0, 36.0, 40.0],
            [228.0, 228.0, 224.0],
            [70.0, 92.0, 84.0],
        ];
        let edge = self.road + self.pavement;
        let mut things = Vec::new();
        for side in [-1.0, 1.0] {
            let mut z = 5.0;
            while z < FAR {
                let long = dice.range(7.0, 20.0);
                let z1 = z + long;
                if dice.chance(0.68) {
                    let height = dice.range(6.0, 13.0);
                    let color = dice.pick(&WALLS);
                    let thing = Thing::House {
                        side,
                        z1,
                        height,
                        color,
                    };
                    things.push(Placed {
                        z,
                        order: z1,
                        thing,
                    });
                } else {
                    for _ in 0..3 {
                        let x = side * (edge + dice.range(1.5, 6.0));
                        let height = dice.range(4.0, 9.0);
                        let thing = Thing::Tree { x, height };
                        things.push(Placed {
                            z: dice.range(z, z1),
                            order: z1 + 0.01,
                            thing,
                        });
                    }
                    let thing = Thing::Fence { side, z1 };
                    things.push(Placed {
                        z,
                        order: z1,
                        thing,
                    });
                }
                z = z1;
            }
            let mut z = dice.range(9.0, 16.0);
            while z < 70.0 {
                let x = side * (self.road + 0.5);
                if dice.chance(0.3) {
                    let height = dice.range(4.0, 7.0);
                    things.push(Placed::at(
                        z,
                        Thing::Tree {
                            x: x + side * 0.6,
                            height,
                        },
                    ));
                } else {
                    let sign = dice.chance(0.5).then(|| {
                        dice.pick(&[
                            [196.0, 30.0, 36.0],
                            [32.0, 76.0, 168.0],
                            [228.0, 196.0, 40.0],
                        ])
                    });
                    let height = if sign.is_some() { 2.9 } else { 7.0 };
                    things.push(Placed::at(z, Thing::Pole { x, height, sign }));
                }
                z += dice.range(8.0, 18.0);
            }
            let mut z = dice.range(10.0, 20.0);
            while z < 60.0 {
                let x = side * (self.road - 1.1);
                if dice.chance(0.6) {
                    let color = dice.pick(&PAINTS);
                    things.push(Placed::at(z, Thing::Car { x, color }));
                }
                z += dice.range(6.0, 16.0);
            }
            for _ in 0..4 {
                let x = side * (self.road + dice.range(0.6, self.pavement - 0.3));
                let coat = scale(dice.pick(&PAINTS), 0.7);
                let person = Thing::Person {
                    x,
                    coat,
                    bicycle: false,
                };
                things.push(Placed::at(dice.range(7.0, 34.0), person));
            }
        }
        if dice.chance(0.75) {
            let x = dice.range(0.8, 1.8);
            let color = dice.pick(&PAINTS);
            things.push(Placed::at(
                dice.range(12.0, 36.0),
                Thing::Car { x: -x, color },
            ));
        }
        if dice.chance(0.75) {
            let x = dice.range(0.4, self.road - 2.4) * dice.pick(&[-1.0, 1.0]);
            let coat = dice.pick(&PAINTS);
            let rider = Thing::Person {
                x,
                coat,
                bicycle: true,
            };
            things.push(Placed::at(dice.range(7.0, 18.0), rider));
        }
        things
    }

    fn sky(&self, canvas: &mut Canvas) {
        let (width, horizon) = (canvas.width as f64, self.camera.horizon);
        let everything = [0.0, 0.0, width, canvas.height as f64];
        canvas.paint(everything, SceneClass::Sky, |x, y| {
            let down = (y / horizon).min(1.0);
            let blue = mix([168.0, 192.0, 222.0], [224.0, 230.0, 234.0], down);
            let cloud = cloudy(x / width * 4.0, y / width * 9.0, self.seed ^ 0x51);
            let cover = ((cloud - 0.42) * 3.0).clamp(0.0, 1.0);
            Some(mix(blue, [238.0, 239.0, 240.0], cover))
        });
    }

    /// Houses and trees where the street ends.
    fn backdrop(&self, canvas: &mut Canvas) {
        let camera = self.camera;
        let ground = camera.y(0.0, FAR);
        for (class, color, seed) in [
            (SceneClass::Building, [138.0, 128.0, 122.0], 0xb1),
            (SceneClass::Tree, [82.0, 96.0, 66.0], 0xb2),
        ] {
            let limits = [0.0, 0.0, canvas.width as f64, ground];
            canvas.paint(limits, class, |x, y| {
                let along = (x - camera.vanish) * FAR / camera.focal;
                let top = if class == SceneClass::Building {
                    9.0 + 9.0 * lattice((along / 11.0).floor() as i64, 0, self.seed ^ seed)
                } else {
                    14.0 * cloudy(along / 9.0, 0.0, self.seed ^ seed) - 1.5
                };
                (y > camera.y(top, FAR)).then(|| {
                    let light = 0.8 + 0.4 * smooth(x / 2.0, y / 2.0, self.seed ^ seed);
                    hazy(scale(color, light), FAR)
                })
            });
        }
    }

    fn ground(&self, canvas: &mut Canvas) {
        let camera = self.camera;
        let (width, height) = (canvas.width as f64, canvas.height as f64);
        let top = camera.y(0.0, FAR);
        let below = [0.0, top, width, height];
        let place = |x: f64, y: f64| {
            let z = camera.focal * EYE / (y - camera.horizon).max(0.01);
            ((x - camera.vanish) * z / camera.focal, z)
        };
        let edge = self.road;
        canvas.paint(below, SceneClass::Pavement, |x, y| {
            let (across, z) = place(x, y);
            let slab = lattice(
                (across / 0.9).floor() as i64,
                (z / 0.9).floor() as i64,
                self.seed,
            );
            let kerb = (across.abs() - edge) < 0.18;
            let base = if kerb {
                [172.0, 170.0, 166.0]
            } else {
                [142.0, 138.0, 134.0]
            };
            let light = 0.93 + 0.1 * slab + 0.08 * smooth(across * 3.0, z * 3.0, self.seed ^ 3);
            Some(hazy(scale(base, light), z))
        });
        canvas.paint(below, SceneClass::Road, |x, y| {
            let (across, z) = place(x, y);
            if across.abs() > edge {
                return None;
            }
            let dashes = across.abs() < 0.07 && (z / 6.0).fract() < 0.5;
            let lines = (across.abs() - edge + 0.35).abs() < 0.06;
            let base = if dashes || lines {
                [206.0, 206.0, 200.0]
            } else {
                [104.0, 104.0, 108.0]
            };
            let wear = 0.12 * cloudy(across * 0.8, z * 0.15, self.seed ^ 5);
            let grit = 0.1 * smooth(across * 14.0, z * 14.0, self.seed ^ 6);
            Some(hazy(scale(base, 0.9 + wear + grit), z))
        });
    }

    fn draw(&self, canvas: &mut Canvas, z: f64, thing: &Thing, seed: u64) {
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
