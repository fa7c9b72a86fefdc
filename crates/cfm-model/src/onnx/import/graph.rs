//! An ONNX file as a checked graph: names resolve, values are computed before they are read.

use std::cell::{Cell, OnceCell};
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::rc::Rc;

use prost::Message;

use crate::onnx::proto::{
    AttributeProto, AttributeType, Dimension, ModelProto, NodeProto, TensorProto, ValueInfoProto,
};

use super::chain;
use super::constant::Constant;
use super::error::{ImportError, Reason, Result};
use super::scan;

/// Versions of ONNX's own operators that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=25;

/// Domains of ONNX's own operators.
const OWN_DOMAINS: [&str; 2] = ["", "ai.onnx"];

/// Decodes a file.
pub fn decode(bytes: &[u8]) -> Result<ModelProto> {
    scan::check(bytes)?;
    let model =
        ModelProto::decode(bytes).map_err(|error| ImportError::Decode(error.to_string()))?;
    let opset = model
        .opset_import
        .iter()
        .find(|set| OWN_DOMAINS.contains(&&*set.domain))
        .ok_or_else(|| ImportError::Decode("it names no operator set".to_owned()))?;
    if !OPSETS.contains(&opset.version) {
        return Err(ImportError::Model(format!(
            "operator set {} is not read, only {} to {}",
            opset.version,
            OPSETS.start(),
            OPSETS.end()
        )));
    }
    Ok(model)
}

/// An input of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input<'a> {
    /// Name of the value.
    pub name: &'a str,
    /// Type of its elements, as [`crate::onnx::proto::DataType`].
    pub elements: i32,
    /// Length of every axis, where it is fixed.
    pub dims: Vec<Option<i64>>,
}

/// The part of a graph that one of its values depends on.
pub struct Graph<'a> {
    /// The nodes, each after those whose outputs it takes.
    pub nodes: Vec<Node<'a>>,
    /// The inputs that are no constants.
    pub inputs: Vec<Input<'a>>,
    /// The value that all this computes.
    pub output: &'a str,
    constants: HashMap<&'a str, Initializer<'a>>,
    uses: HashMap<&'a str, usize>,
    /// Elements of the constants that were read.
    elements: Cell<usize>,
}

/// A constant of the file, read when it is asked for, and only once, however many nodes ask.
struct Initializer<'a> {
    tensor: &'a TensorProto,
    read: OnceCell<Rc<Constant>>,
}

/// What becomes of a value, behind nodes that pass it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Unread,
    Flattened,
    Other,
}

impl<'a> Graph<'a> {
    /// The graph of `model` as far as `output` (without it, the graph's only output) depends on it.
    pub fn new(model: &'a ModelProto, output: Option<&'a str>) -> Result<Self> {
        let graph = model
            .graph
            .as_ref()
            .ok_or_else(|| ImportError::Decode("it has no graph".to_owned()))?;
        let initializers = graph.initializer.iter().map(|tensor| {
            let read = OnceCell::new();
            (&*tensor.name, Initializer { tensor, read })
        });
        let constants: HashMap<&str, Initializer<'_>> = initializers.collect();
        let inputs: Vec<Input<'_>> = graph
            .input
            .iter()
            .filter(|input| !constants.contains_key(&*input.name))
            .map(read_input)
            .collect::<Result<_>>()?;
        let mut known: HashSet<&str> = constants.keys().copied().collect();
        known.extend(inputs.iter().map(|input| input.name));
        let mut producers = HashMap::new();
        for (index, node) in graph.node.iter().enumerate() {
            if let Some(name) = node
                .input
                .iter()
                .find(|name| !name.is_empty() && !known.contains(&***name))
            {
                return Err(Node(node).refuse(format!("input {name} is not computed before it")));
            }
            for name in node.output.iter().filter(|name| !name.is_empty()) {
                if !known.insert(name) {
                    return Err(Node(node).refuse(format!("output {name} is computed twice")));
                }
                producers.insert(&**name, index);
            }
        }
        let output = match output {
            Some(name) => name,
            None => match &*graph.output {
                [one] => &*one.name,
                several => {
                    let names: Vec<&str> = several.iter().map(|value| &*value.name).collect();
                    return Err(ImportError::Model(format!(
                        "the graph has {} outputs ({}): say which one is meant",
                        names.len(),
                        names.join(", ")
                    )));
                }
            },
        };
        if !known.contains(output) {
            return Err(ImportError::Model(format!(
                "the graph has no value {output}"
            )));
        }
        let mut live = vec![false; graph.node.len()];
        let mut pending: Vec<usize> = producers.get(output).copied().into_iter().collect();
        while let Some(index) = pending.pop() {
            if !std::mem::replace(&mut live[index], true) {
                let inputs = graph.node[index].input.iter();
                pending.extend(inputs.filter_map(|name| producers.get(&**name)));
            }
        }
        let nodes: Vec<Node<'_>> = graph
            .node
            .iter()
            .zip(live)
            .filter_map(|(node, live)| live.then_some(Node(node)))
            .collect();
        let mut uses = HashMap::from([(output, 1)]);
        for name in nodes.iter().flat_map(|node| &node.0.input) {
            *uses.entry(&**name).or_default() += 1;
        }
        Ok(Self {
            nodes,
            inputs,
            output,
            constants,
            uses,
            elements: Cell::new(0),
        })
    }

    /// The constant of that name, if it is one of the file's.
    fn constant(&self, name: &str) -> Option<std::result::Result<Rc<Constant>, Reason>> {
        let initializer = self.constants.get(name)?;
        if let Some(constant) = initializer.read.get() {
            return Some(Ok(constant.clone()));
        }
        Some(
            self.read(initializer.tensor)
                .map(|constant| initializer.read.get_or_init(|| constant).clone()),
        )
    }

    /// The constant that an input of `node` names; no operator computes it.
    pub fn constant_input(&self, node: &Node<'_>, name: &str) -> Result<Rc<Constant>> {
        self.constant(name)
            .ok_or_else(|| node.refuse(format!("input {name} is no tensor that is read")))?
            .map_err(|reason| node.refuse(reason))
    }

    /// Reads a constant, whose elements are counted.
    pub fn read(&self, tensor: &TensorProto) -> std::result::Result<Rc<Constant>, Reason> {
        let constant = Constant::read(tensor)?;
        chain::count(&self.elements, constant.len())?;
        Ok(Rc::new(constant))
    }

    /// How often a value is read.
    pub fn uses(&self, name: &str) -> usize {
        self.uses.get(name).copied().unwrap_or(0)
    }

    /// The values that all their readers flatten, behind operators of `passing`; at least one does.
    pub fn flattened(&self, passing: &[&str]) -> HashSet<&'a str> {
        let mut fates: HashMap<&str, Fate> = HashMap::new();
        // From the last node on, what becomes of an output is known before its node: every node is looked at once, however
        // many ways lead through the graph.
        for node in self.nodes.iter().rev() {
            let fate = match (&*node.0.op_type, node.output()) {
                ("Flatten" | "Reshape" | "Squeeze", _) => Fate::Flattened,
                (operator, Ok(output)) if passing.contains(&operator) => {
                    fates.get(output).copied().unwrap_or(Fate::Unread)
                }
                _ => Fate::Other,
            };
            for name in &node.0.input {
                let before = fates.entry(name).or_insert(Fate::Unread);
                *before = fate.max(*before);
            }
        }
        let flattened = fates
            .into_iter()
            .filter(|&(_, fate)| fate == Fate::Flattened);
        flattened.map(|(name, _)| name).collect()
    }
}

fn read_input(value: &ValueInfoProto) -> Result<Input<'_>> {
    let tensor = value
        .r#type
        .as_ref()
        .and_then(|kind| kind.tensor_type.as_ref())
        .ok_or_else(|| ImportError::Model(format!("input {} is no tensor", value.name)))?;
    let shape = tensor.shape.as_ref().ok_or_else(|| {
        ImportError::Model(format!("input {} may have any number of axes", value.name))
    })?;
    let dims = shape
        .dim
        .iter()
        .map(|dim| match dim.value {
            Some(Dimension::Value(length)) if length > 0 => Some(length),
            _ => None,
        })
        .collect();
    Ok(Input {
        name: &value.name,
        elements: tensor.elem_type,
        dims,
    })
}

/// A node, with its attributes read by name.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a>(pub &'a NodeProto);

impl<'a> Node<'a> {
    /// The operator; with its domain if that is not ONNX's own.
    pub fn operator(&self) -> String {
        if OWN_DOMAINS.contains(&&*self.0.domain) {
            self.0.op_type.clone()
        } else {
            format!("{}.{}", self.0.domain, self.0.op_type)
        }
    }

    /// An error about this node.
    pub fn refuse(&self, reason: impl Into<String>) -> ImportError {
        let first = self.0.output.iter().find(|name| !name.is_empty());
        let node = match first {
            Some(output) if self.0.name.is_empty() => output.clone(),
            _ => self.0.name.clone(),
        };
        ImportError::Node {
            node,
            operator: self.operator(),
            reason: reason.into(),
        }
    }

    /// Refuses bounds that leave nothing between them, or are no numbers.
    pub fn bounds<T: PartialOrd + Display>(&self, [low, high]: [T; 2]) -> Result<()> {
        if low <= high {
            return Ok(());
        }
        Err(self.refuse(format!("min = {low} is not at most max = {high}")))
    }

    /// The name of input `index`, if it is there.
    pub fn input(&self, index: usize) -> Option<&'a str> {
        let name = self.0.input.get(index)?;
        (!name.is_empty()).then_some(&**name)
    }

    /// The name of the first output.
    pub fn output(&self) -> Result<&'a str> {
        match self.0.output.first() {
            Some(name) if !name.is_empty() => Ok(name),
            _ => Err(self.refuse("it has no output")),
        }
    }

    fn attribute(&self, name: &str, kind: AttributeType) -> Result<Option<&'a AttributeProto>> {
        let Some(attribute) = self.0.attribute.iter().find(|a| a.name == name) else {
            return Ok(None);
        };
        if attribute.r#type == kind as i32 {
            Ok(Some(attribute))
        } else {
            Err(self.refuse(format!("attribute {name} is not of type {kind:?}")))
        }
    }

    /// An integer, or its default.
    pub fn int(&self, name: &str, default: i64) -> Result<i64> {
        let attribute = self.attribute(name, AttributeType::Int)?;
        Ok(attribute.map_or(default, |attribute| attribute.i))
    }

    /// A float, if it is there.
    pub fn float(&self, name: &str) -> Result<Option<f32>> {
        let attribute = self.attribute(name, AttributeType::Float)?;
        Ok(attribute.map(|attribute| attribute.f))
    }

    /// Integers, if they are there.
    pub fn ints(&self, name: &str) -> Result<Option<&'a [i64]>> {
        let attribute = self.attribute(name, AttributeType::Ints)?;
        Ok(attribute.map(|attribute| &*attribute.ints))
    }

    /// A text, or its default.
    pub fn text(&self, name: &str, default: &str) -> Result<String> {
        let attribute = self.attribute(name, AttributeType::String)?;
        Ok(attribute.map_or_else(
            || default.to_owned(),
            |attribute| String::from_utf8_lossy(&attribute.s).into_owned(),
        ))
    }

    /// A tensor, if it is there.
    pub fn tensor(&self, name: &str) -> Result<Option<&'a TensorProto>> {
        let attribute = self.attribute(name, AttributeType::Tensor)?;
        Ok(attribute.and_then(|attribute| attribute.t.as_ref()))
    }

    /// Refuses an attribute that is none of `known`: what it says could change the result.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        let mut attributes = self.0.attribute.iter();
        match attributes.find(|attribute| !known.contains(&&*attribute.name)) {
            Some(attribute) => {
                Err(self.refuse(format!("attribute {} is not known", attribute.name)))
            }
            None => Ok(()),
        }
    }
}
