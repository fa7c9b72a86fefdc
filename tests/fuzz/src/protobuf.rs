//! Mutations of protocol buffers that keep them well-formed, whatever they say: fields are changed, removed, repeated,
//! exchanged, or take the value of another, and all lengths are written anew.

/// Messages within messages that are told apart; deeper ones are bytes.
const MAX_DEPTH: usize = 8;

/// Highest field number that is taken for one. (ONNX has none above; text seldom looks so.)
const MAX_NUMBER: u64 = 32;

/// A field: number and wire type, and the value.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    key: u64,
    value: Value,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Varint(u64),
    /// Four or eight bytes.
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

/// Changes one field, some fields deep. `None` for bytes that are no protocol buffer, or have no field.
///
/// `bytes` are changed by `mutate`, which takes them with the room that they have and returns how many there are then.
pub fn mutate_field(
    message: &[u8],
    seed: u32,
    mutate: impl Fn(&mut [u8], usize) -> usize,
) -> Option<Vec<u8>> {
    let mut fields = parse(message, 0)?;
    let mut random = Random(seed | 1);
    let donors = fields.clone();
    let count = count(&donors);
    let at = random.below(count)?;
    let donor = nth(&donors, random.below(count)?)?;
    change(&mut fields, at, &mut random, donor, &mutate);
    let mut bytes = Vec::with_capacity(message.len());
    write(&fields, &mut bytes);
    Some(bytes)
}

fn parse(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = take_varint(&mut bytes)?;
        if key >> 3 == 0 || key >> 3 > MAX_NUMBER {
            return None;
        }
        let value = match key & 7 {
            0 => Value::Varint(take_varint(&mut bytes)?),
            1 => Value::Fixed(bytes.split_off(..8)?.to_vec()),
            5 => Value::Fixed(bytes.split_off(..4)?.to_vec()),
            2 => {
                let length = usize::try_from(take_varint(&mut bytes)?).ok()?;
                let content = bytes.split_off(..length)?;
                match parse(content, depth + 1) {
                    Some(fields) if !fields.is_empty() && depth < MAX_DEPTH => {
                        Value::Message(fields)
                    }
                    _ => Value::Bytes(content.to_vec()),
                }
            }
            _ => return None,
        };
        fields.push(Field { key, value });
    }
    Some(fields)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn write(fields: &[Field], to: &mut Vec<u8>) {
    for field in fields {
        write_varint(field.key, to);
        match &field.value {
            Value::Varint(value) => write_varint(*value, to),
            Value::Fixed(bytes) => to.extend(bytes),
            Value::Bytes(bytes) => {
                write_varint(bytes.len() as u64, to);
                to.extend(bytes);
            }
            Value::Message(fields) => {
                let mut content = Vec::new();
                write(fields, &mut content);
                write_varint(content.len() as u64, to);
                to.extend(content);
            }
        }
    }
}

fn write_varint(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// Fields at all depths.
fn count(fields: &[Field]) -> usize {
    fields.iter().map(|field| 1 + inner_count(field)).sum()
}

fn inner_count(field: &Field) -> usize {
    match &field.value {
        Value::Message(fields) => count(fields),
        _ => 0,
    }
}

/// Field `at`, counted as [`count`] does.
fn nth(fields: &[Field], mut at: usize) -> Option<&Field> {
    for field in fields {
        if at == 0 {
            return Some(field);
        }
        at -= 1;
        let inner = inner_count(field);
        if at < inner {
            return match &field.value {
                Value::Message(fields) => nth(fields, at),
                _ => None,
            };
        }
        at -= inner;
    }
    None
}

fn change(
    fields: &mut Vec<Field>,
    mut at: usize,
    random: &mut Random,
    donor: &Field,
    mutate: &impl Fn(&mut [u8], usize) -> usize,
) {
    for index in 0..fields.len() {
        if at == 0 {
            change_here(fields, index, random, donor, mutate);
            return;
        }
        at -= 1;
        let inner = inner_count(&fields[index]);
        if at < inner {
            if let Value::Message(fields) = &mut fields[index].value {
                change(fields, at, random, donor, mutate);
            }
            return;
        }
        at -= inner;
    }
}

fn change_here(
    fields: &mut Vec<Field>,
    index: usize,
    random: &mut Random,
    donor: &Field,
    mutate: &impl Fn(&mut [u8], usize) -> usize,
) {
    match random.next() % 8 {
        0 => {
            fields.remove(index);
        }
        1 => fields.insert(index, fields[index].clone()),
        2 => fields.insert(index, donor.clone()),
        3 => {
            let other = random.next() as usize % fields.len();
            fields.swap(index, other);
        }
        4 if donor.key & 7 == fields[index].key & 7 => {
            fields[index].value = donor.value.clone();
        }
        _ => match &mut fields[index].value {
            Value::Varint(value) => {
                let drawn = u64::from(random.next());
                *value = match random.next() % 6 {
                    0 => value.wrapping_add(1),
                    1 => value.wrapping_sub(1),
                    2 => drawn % 8,
                    3 => 1 << (drawn % 64),
                    4 => drawn,
                    _ => u64::MAX - drawn % 4,
                };
            }
            Value::Fixed(bytes) => {
                let length = bytes.len();
                mutate(bytes, length);
            }
            Value::Bytes(bytes) => {
                let length = bytes.len();
                bytes.resize(length + 16, 0);
                let length = mutate(bytes, length);
                bytes.truncate(length);
            }
            // Its fields are changed on their own.
            Value::Message(inner) => inner.truncate(random.next() as usize % (inner.len() + 1)),
        },
    }
}

/// A xorshift generator.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    fn below(&mut self, count: usize) -> Option<usize> {
        (self.next() as usize).checked_rem(count)
    }
}
