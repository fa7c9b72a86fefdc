"""Runs ONNX files in other programs, one thread each, and says how long a run takes.

A line of JSON in, a line of JSON out:
    {"load": "onnxruntime" | "tract", "file": PATH}  ->  {"loaded": ID, "version": VERSION}
    {"run": ID}                                      ->  {"seconds": SECONDS}
or {"error": TEXT}. Inputs are random.
"""

import json
import sys
import time


def onnxruntime(path):
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    types = {"tensor(float)": numpy.float32, "tensor(uint8)": numpy.uint8, "tensor(int8)": numpy.int8}
    random = numpy.random.default_rng(1)
    values = {i.name: sample(numpy, random, i.shape, types[i.type]) for i in session.get_inputs()}
    return onnxruntime.__version__, lambda: session.run(None, values)


def tract(path):
    import numpy
    import tract

    model = tract.onnx().load(path).into_model()
    random = numpy.random.default_rng(1)
    values = []
    for i in range(model.input_count()):
        *shape, kind = str(model.input_fact(i)).split(",")
        types = {"F32": numpy.float32, "f32": numpy.float32, "U8": numpy.uint8, "u8": numpy.uint8}
        values.append(sample(numpy, random, [int(axis) for axis in shape], types[kind]))
    runnable = model.into_runnable()
    return tract.version(), lambda: runnable.run(values)


def sample(numpy, random, shape, kind):
    if kind == numpy.float32:
        return random.uniform(-1, 1, shape).astype(kind)
    return random.integers(numpy.iinfo(kind).min, numpy.iinfo(kind).max, shape, dtype=kind, endpoint=True)


def main():
    runs = []
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "load" in request:
                version, run = {"onnxruntime": onnxruntime, "tract": tract}[request["load"]](request["file"])
                run()
                runs.append(run)
                answer = {"loaded": len(runs) - 1, "version": version}
            else:
                run = runs[request["run"]]
                start = time.perf_counter()
                run()
                answer = {"seconds": time.perf_counter() - start}
        except BaseException as error:  # whatever another program does
            answer = {"error": f"{type(error).__name__}: {error}".split("\n")[0]}
        print(json.dumps(answer), flush=True)


main()
