//! The street: the camera, what stands where, the sky and the ground.

use super::SceneClass;
use super::canvas::{Canvas, Color, mix, scale};
use super::noise::{cloudy, lattice, smooth};
use super::things::Thing;

/// Height of the camera above the road, in metres.
pub(super) const EYE: f64 = 1.5;
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
pub(super) struct Camera {
    pub(super) focal: f64,
    pub(super) vanish: f64,
    pub(super) horizon: f64,
}

impl Camera {
    pub(super) fn x(self, x: f64, z: f64) -> f64 {
        self.vanish + self.focal * x / z
    }

    pub(super) fn y(self, y: f64, z: f64) -> f64 {
        self.horizon + self.focal * (EYE - y) / z
    }

    /// The box of something upright at `x`, `z` of that size (width, height), standing `above` the ground.
    pub(super) fn upright(self, x: f64, z: f64, width: f64, height: f64, above: f64) -> [f64; 4] {
        [
            self.x(x - width / 2.0, z),
            self.y(above + height, z),
            self.x(x + width / 2.0, z),
            self.y(above, z),
        ]
    }
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
pub(super) struct Street {
    pub(super) camera: Camera,
    seed: u64,
    pub(super) road: f64,
    pub(super) pavement: f64,
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

pub(super) fn hazy(color: Color, z: f64) -> Color {
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
}
