//! The library's functions called as C calls them, with raw pointers, over the golden cases: every logit and label is the
//! expected one, and Miri and AddressSanitizer see every pointer that crosses the border.
#![allow(unsafe_code)] // it calls what C calls

use std::ffi::CStr;
use std::sync::Barrier;
use std::{ptr, slice, thread};

use cfm_c::cfm_error::*;
use cfm_c::*;
use cfm_conformance::case::{Case, Content, runs, u16s};
use cfm_conformance::cases::CASES;
use cfm_core::model::reorder::reorder;
use cfm_core::model::{Classifier, Model, WeightOrder};
use cfm_soundness::portion;

/// Cases, the smallest first.
fn cases() -> Vec<(&'static str, &'static [u8])> {
    let mut cases = CASES.to_vec();
    cases.sort_by_key(|(_, file)| file.len());
    cases.truncate(portion(CASES.len(), 1));
    cases
}

/// Memory that C owns: it is touched through the pointer alone until it is freed.
struct Owned<T>(*mut [T]);

impl<T> Owned<T> {
    fn new(values: Vec<T>) -> Self {
        Self(Box::into_raw(values.into_boxed_slice()))
    }

    fn one(value: T) -> Self {
        Self::new(vec![value])
    }

    fn start(&self) -> *mut T {
        self.0.cast()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn values(&self) -> &[T] {
        // SAFETY: the memory is as long, and nothing writes to it while the test looks at it.
        unsafe { slice::from_raw_parts(self.start(), self.len()) }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `new` made the box, and nobody uses the memory any more.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

fn ok(result: cfm_error) {
    assert_eq!(result, CFM_OK);
}

/// A model in its storage, and its bytes, which end where the memory ends.
fn parse(bytes: &[u8]) -> (Owned<cfm_model>, Owned<u8>) {
    let bytes = Owned::new(bytes.to_vec());
    let model = Owned::one(cfm_model::new());
    // SAFETY: both are as long as said, and live as long as the model is used.
    ok(unsafe { cfm_model_parse(model.start(), bytes.start(), bytes.len()) });
    (model, bytes)
}

fn info(model: &Owned<cfm_model>) -> cfm_info {
    let mut info = cfm_info {
        width: 0,
        height: 0,
        channels: 0,
        class_count: 0,
        row_bytes: 0,
        arena_bytes: 0,
    };
    // SAFETY: both are valid.
    ok(unsafe { cfm_model_info(model.start(), &raw mut info) });
    info
}

/// An image whose rows have been pushed, and its arena: as short as it may be, at an odd address.
fn pushed(model: &Owned<cfm_model>, image: &[u8]) -> (Owned<cfm_image>, Owned<u8>) {
    let cfm_info {
        row_bytes,
        arena_bytes,
        ..
    } = info(model);
    let arena = Owned::new(vec![0xAA; arena_bytes + 1]);
    let storage = Owned::one(cfm_image::new());
    // SAFETY: the arena is as long as said; the rows are those of the image.
    unsafe {
        let begin = arena.start().add(1).cast();
        let short = cfm_image_begin(storage.start(), model.start(), begin, arena_bytes - 1);
        assert_eq!(short, CFM_ERROR_ARENA);
        ok(cfm_image_begin(
            storage.start(),
            model.start(),
            begin,
            arena_bytes,
        ));
        assert_eq!(cfm_image_finish(storage.start()), CFM_ERROR_INCOMPLETE);
        for row in image.chunks_exact(row_bytes) {
            ok(cfm_image_push_row(storage.start(), row.as_ptr(), row.len()));
        }
        let row = image.as_ptr();
        assert_eq!(
            cfm_image_push_row(storage.start(), row, row_bytes),
            CFM_ERROR_TOO_MANY_ROWS
        );
        ok(cfm_image_finish(storage.start()));
    }
    (storage, arena)
}

/// Adds a map to an image, with as little memory as that takes; returns the memory.
fn add_map(image: &Owned<cfm_image>, map: &cfm_map) -> Owned<u32> {
    let mut used = usize::MAX;
    // SAFETY: the map's labels live, as the caller sees to; the memory is as long as said.
    unsafe {
        let refused = cfm_image_add_map(image.start(), map, ptr::null_mut(), 0, &raw mut used);
        assert_eq!((refused, used), (CFM_ERROR_MAP_MEMORY, 0));
        let superpixels = Owned::new(vec![
            0xAAAA_AAAA_u32;
            usize::from(map.count) * CFM_SUPERPIXEL_WORDS
        ]);
        let refused = cfm_image_add_map(
            image.start(),
            map,
            superpixels.start(),
            superpixels.len(),
            &raw mut used,
        );
        assert_eq!(refused, CFM_ERROR_MAP_MEMORY);
        let memory = Owned::new(vec![0xAAAA_AAAA_u32; used]);
        ok(cfm_image_add_map(
            image.start(),
            map,
            memory.start(),
            memory.len(),
            &raw mut used,
        ));
        assert_eq!(used, memory.len());
        memory
    }
}

/// A segment that was scored, and what it refers to.
struct Scored {
    runs: Owned<cfm_run>,
    members: Owned<u16>,
    map: usize,
    logits: Owned<i16>,
    area: u32,
}

impl Scored {
    fn segment(&self) -> cfm_segment {
        let of_runs = self.runs.len() > 0;
        cfm_segment {
            runs: if of_runs {
                self.runs.start()
            } else {
                ptr::null()
            },
            members: if of_runs {
                ptr::null()
            } else {
                self.members.start()
            },
            count: self.runs.len().max(self.members.len()),
            map: self.map,
        }
    }
}

/// Scores segment `index` of a case, and compares what comes out.
fn score(
    case: &Case<'_>,
    index: u16,
    model: &Owned<cfm_model>,
    image: &Owned<cfm_image>,
) -> Scored {
    let class_count = info(model).class_count.into();
    let of_runs = case.get(Content::Runs(index)).unwrap_or(&[]);
    let of_members = case.get(Content::Members(index)).unwrap_or(&[0, 0]);
    let runs = runs(of_runs).map(|run| cfm_run {
        y: run.y,
        x0: run.x0,
        x1: run.x1,
    });
    let mut scored = Scored {
        runs: Owned::new(runs.collect()),
        members: Owned::new(u16s(&of_members[2..]).collect()),
        map: u16s(of_members).next().unwrap().into(),
        logits: Owned::new(vec![i16::MIN; class_count]),
        area: 0,
    };
    let mut extent = cfm_extent {
        area: 0,
        left: 0,
        top: 0,
        right: 0,
        bottom: 0,
    };
    let segment = scored.segment();
    // SAFETY: the segment's memory lives in `scored`; there are as many logits as said.
    ok(unsafe {
        cfm_image_score(
            image.start(),
            &segment,
            scored.logits.start(),
            class_count,
            &raw mut extent,
        )
    });
    scored.area = extent.area;
    let expected = case.get(Content::Logits(index)).unwrap();
    let logits = scored
        .logits
        .values()
        .iter()
        .map(|logit| logit.cast_unsigned());
    assert!(u16s(expected).eq(logits), "segment {index}");
    assert_eq!(
        case.get(Content::Extent(index)).unwrap()[..4],
        extent.area.to_le_bytes()
    );

    let probabilities = Owned::new(vec![0; class_count]);
    // SAFETY: there are as many logits and probabilities as said.
    let result = unsafe {
        cfm_probabilities(
            model.start(),
            scored.logits.start(),
            probabilities.start(),
            class_count,
        )
    };
    match case.get(Content::Probabilities(index)) {
        Some(expected) => {
            ok(result);
            assert!(u16s(expected).eq(probabilities.values().iter().copied()));
        }
        None => assert_eq!(result, CFM_ERROR_NO_PROBABILITIES),
    }
    scored
}

/// Labels the image by a rule of eight bytes.
fn label(rule: &[u8], segments: &[Scored], image: &Owned<cfm_image>, pixels: usize) -> Owned<u8> {
    let &[combination, power, area, purity, low, high, refinement, _] = rule else {
        panic!("a rule has eight bytes");
    };
    let rule = cfm_rule {
        combination,
        power,
        area,
        purity,
        inhibition: u16::from_le_bytes([low, high]),
        refinement,
    };
    let segments = segments.iter().map(|scored| cfm_scored_segment {
        segment: scored.segment(),
        logits: scored.logits.start(),
        area: scored.area,
    });
    let segments = Owned::new(segments.collect());
    let labels = Owned::new(vec![77; pixels]);
    let mut words = 0;
    // SAFETY: all that the segments refer to lives; the memory is as long as said.
    unsafe {
        let (image, count) = (image.start(), segments.len());
        ok(cfm_image_label_words(image, &rule, count, &raw mut words));
        let memory = Owned::new(vec![0xAAAA_AAAA_u32; words]);
        ok(cfm_image_label(
            image,
            &rule,
            segments.start(),
            count,
            memory.start(),
            words,
            labels.start(),
            labels.len(),
        ));
    }
    labels
}

/// Makes the proposals of an image, and scores each of them.
fn propose(model: &Owned<cfm_model>, pixels: &[u8]) -> usize {
    let (image, _arena) = pushed(model, pixels);
    let mut sizes = cfm_sizes {
        words: 0,
        min_words: 0,
        labels: 0,
        max_segments: 0,
        maps: 0,
        max_superpixels: 0,
    };
    let proposals = Owned::one(cfm_proposals::new());
    let mut logits = vec![0; info(model).class_count.into()];
    // SAFETY: all memory is as long as said, and lives until the end.
    unsafe {
        ok(cfm_proposals_sizes(model.start(), &raw mut sizes));
        let words = Owned::new(vec![0xAAAA_AAAA_u32; sizes.min_words]);
        let labels = Owned::new(vec![0xAAAA_u16; sizes.labels]);
        ok(cfm_proposals_make(
            proposals.start(),
            model.start(),
            pixels.as_ptr(),
            pixels.len(),
            words.start(),
            words.len(),
            labels.start(),
            labels.len(),
        ));
        let (mut maps, mut count) = (0, 0);
        ok(cfm_proposals_count(
            proposals.start(),
            &raw mut maps,
            &raw mut count,
        ));
        assert!(maps <= sizes.maps && count <= sizes.max_segments);
        let mut memories = Vec::new();
        let mut map = cfm_map {
            labels: ptr::null(),
            width: 0,
            height: 0,
            count: 0,
        };
        for index in 0..maps.min(CFM_MAX_MAPS) {
            ok(cfm_proposals_map(proposals.start(), index, &raw mut map));
            memories.push(add_map(&image, &map));
        }
        assert_eq!(
            cfm_proposals_map(proposals.start(), maps, &raw mut map),
            CFM_ERROR_INDEX
        );
        let mut segment = cfm_segment {
            runs: ptr::null(),
            members: ptr::null(),
            count: 0,
            map: 0,
        };
        for index in 0..count {
            let segment = &raw mut segment;
            ok(cfm_proposals_get(
                proposals.start(),
                index,
                segment,
                ptr::null_mut(),
            ));
            if (*segment).map < memories.len() {
                ok(cfm_image_score(
                    image.start(),
                    segment,
                    logits.as_mut_ptr(),
                    logits.len(),
                    ptr::null_mut(),
                ));
            }
        }
        count
    }
}

#[test]
fn golden_cases() {
    let mut proposals = 0;
    for (name, file) in cases() {
        println!("{name}");
        let case = Case::parse(file).unwrap();
        let (model, bytes) = parse(case.get(Content::Model).unwrap());
        let cfm_info { width, height, .. } = info(&model);
        let pixels = case.get(Content::Image).unwrap();
        let (image, _arena) = pushed(&model, pixels);
        let maps = (0..).map_while(|index| case.get(Content::Map(index)));
        let maps: Vec<_> = maps
            .map(|map| {
                let count = u16s(map).next().unwrap();
                let labels = Owned::new(u16s(&map[2..]).collect::<Vec<_>>());
                let map = cfm_map {
                    labels: labels.start(),
                    width,
                    height,
                    count,
                };
                (add_map(&image, &map), labels)
            })
            .collect();
        let segments: Vec<_> = (0..case.segment_count())
            .map(|index| score(&case, index, &model, &image))
            .collect();
        let rule = case.get(Content::Rule).unwrap();
        let pixel_count = usize::from(width) * usize::from(height);
        let labels = label(rule, &segments, &image, pixel_count);
        assert_eq!(labels.values(), case.get(Content::Labels).unwrap());
        drop(maps);
        // There are proposals of colour images only.
        if info(&model).channels == 3 {
            proposals += propose(&model, pixels);
        }
        let parsed = Model::parse(bytes.values()).unwrap();
        assert_eq!(
            parsed.head().classifier == Classifier::Softmax,
            case.get(Content::Probabilities(0)).is_some() || segments.is_empty()
        );
    }
    assert!(proposals > 0 || cfg!(miri));
}

/// What is shared between threads, as C shares it: the pointer.
struct Shared<'a>(&'a Owned<cfm_model>);

// SAFETY: the threads pass it on only to functions that take it as `const`, which the header lets them do at once.
unsafe impl Sync for Shared<'_> {}

impl Shared<'_> {
    fn model(&self) -> &Owned<cfm_model> {
        self.0
    }
}

#[test]
fn threads_share_a_model() {
    // The largest with segments that need no map, so that the threads are in the same functions at once. Miri, for which that
    // would take a quarter of an hour, sees a race in the smallest case, whatever its segments.
    let mut cases = CASES.to_vec();
    cases.sort_by_key(|(_, file)| file.len());
    let found = if cfg!(miri) {
        cases.first()
    } else {
        cases.iter().rfind(|(_, file)| {
            let case = Case::parse(file).unwrap();
            case.get(Content::Runs(0)).is_some()
        })
    };
    let (name, file) = *found.expect("a case has segments of runs");
    let case = Case::parse(file).unwrap();
    let (model, _bytes) = parse(case.get(Content::Model).unwrap());
    let cfm_info { width, height, .. } = info(&model);
    let pixel_count = usize::from(width) * usize::from(height);
    let pixels = case.get(Content::Image).unwrap();
    let rule = case.get(Content::Rule).unwrap();
    let shared = Shared(&model);
    let together = Barrier::new(2);
    let images = || {
        let model = shared.model();
        together.wait();
        let labels: Vec<_> = (0..portion(3, 1))
            .map(|_| {
                let (image, _arena) = pushed(model, pixels);
                // Logits and probabilities are compared with the case's.
                let segments: Vec<_> = (0..case.segment_count())
                    .filter(|&index| case.get(Content::Runs(index)).is_some())
                    .map(|index| score(&case, index, model, &image))
                    .collect();
                label(rule, &segments, &image, pixel_count)
                    .values()
                    .to_vec()
            })
            .collect();
        labels
    };
    let found = thread::scope(|scope| {
        let running = [scope.spawn(images), scope.spawn(images)];
        running.map(|thread| thread.join().expect("no thread panics"))
    });
    let [first, second] = &found;
    assert!(
        first.iter().chain(second).all(|labels| *labels == first[0]),
        "{name}: the labels of the threads differ"
    );
}

#[test]
fn storage_without_an_object_is_refused() {
    let case = Case::parse(cases()[0].1).unwrap();
    let (model, bytes) = parse(case.get(Content::Model).unwrap());
    let empty = Owned::one(cfm_model::new());
    let mut described = info(&model);
    let described = &raw mut described;
    let copy = Owned::one(cfm_model::new());
    // SAFETY: all pointers are valid, or null, or misaligned.
    unsafe {
        assert_eq!(cfm_model_info(ptr::null(), described), CFM_ERROR_NULL);
        let odd = model.start().byte_add(1);
        assert_eq!(cfm_model_info(odd, described), CFM_ERROR_MISALIGNED);
        let odd = described.byte_add(1);
        assert_eq!(cfm_model_info(model.start(), odd), CFM_ERROR_MISALIGNED);
        assert_eq!(cfm_model_info(empty.start(), described), CFM_ERROR_STATE);
        // Padding and pointers are copied as they are.
        ptr::copy_nonoverlapping(model.start(), copy.start(), 1);
        assert_eq!(cfm_model_info(copy.start(), described), CFM_ERROR_STATE);
        ok(cfm_model_info(model.start(), described));
        // A model that is refused leaves no model behind, wherever the file is cut.
        let lengths = (0..bytes.len()).step_by(if cfg!(miri) { 211 } else { 1 });
        for length in lengths {
            let cut = Owned::new(bytes.values()[..length].to_vec());
            let refused = cfm_model_parse(model.start(), cut.start(), length);
            assert_ne!(refused, CFM_OK, "{length} of {} bytes", bytes.len());
            assert_eq!(cfm_model_info(model.start(), described), CFM_ERROR_STATE);
        }
        let none = cfm_model_parse(model.start(), ptr::null(), 1);
        assert_eq!(none, CFM_ERROR_NULL);
        let endless = cfm_model_parse(model.start(), bytes.start(), usize::MAX);
        assert_eq!(endless, CFM_ERROR_LENGTH);
    }
}

#[test]
fn strings_end_with_a_zero_byte() {
    // SAFETY: so the header says.
    let [version, message] = unsafe {
        [
            CStr::from_ptr(cfm_version()),
            CStr::from_ptr(cfm_error_message(CFM_ERROR_ARENA as i32)),
        ]
    };
    assert_eq!(version.to_str(), Ok(env!("CARGO_PKG_VERSION")));
    assert!(message.to_str().is_ok_and(|message| message.len() > 10));
}

#[test]
fn packed_models_are_refused_by_name() {
    let file = include_bytes!("../../../crates/cfm-core/data/small.cfm");
    let mut memory = vec![0; file.len()];
    let plain = Model::parse(file).unwrap();
    let packed = reorder(&plain, WeightOrder::Quads, &mut memory).unwrap();
    let (model, _bytes) = parse(packed);
    let arena = Owned::new(vec![0_u8; info(&model).arena_bytes]);
    let storage = Owned::one(cfm_image::new());
    // SAFETY: model and storage are valid, the arena is as long as said.
    let begun = unsafe {
        cfm_image_begin(
            storage.start(),
            model.start(),
            arena.start().cast(),
            arena.len(),
        )
    };
    assert_eq!(begun, CFM_ERROR_WEIGHT_ORDER);
}
