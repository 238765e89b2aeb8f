"""A PyMC model compiled to machine code once, kept on disk, and given new data without compiling.

nutpie calls two C functions: the log density with its gradient, and the draw expanded to all variables. nutpie's own
wrapper for data that may change costs numba several seconds a process; the wrapper here reads a plain table of
addresses and lengths, and its object code is kept beside PyTensor's own cache, under a key made from the model's graph.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import platform
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numpy as np
import pymc as pm
import pytensor
from numba.core import serialize
from numba.core.environment import Environment, lookup_environment
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys
from pymc.initial_point import make_initial_point_fn
from pytensor.graph.traversal import ancestors
from pytensor.printing import debugprint

from progression.engines.light import CompiledModel, nutpie
from progression.engines.vector_math import COMPILED, VERSION
from progression.store import write_atomically

_lib, compile_pymc = nutpie._lib, nutpie.compile_pymc

_LAYOUT = 2  # raise it when the files or the wrapper change
_REAL, _POINTER = numba.types.CPointer(numba.types.double), numba.types.voidptr
_SIZE = numba.types.uint64
_SIGNATURES = {
    "logp": numba.types.int64(_SIZE, _REAL, _REAL, _REAL, _POINTER),
    "expand": numba.types.int64(_SIZE, _SIZE, _REAL, _REAL, _POINTER),
}


@dataclass(frozen=True, eq=False)
class Native(CompiledModel):
    """Machine code of one model, and the data it reads."""

    plan: Mapping[str, Any]  # names, shapes, order of the data: everything that is not code
    address: Mapping[str, int]
    alive: tuple[Any, ...]  # what the addresses point into: must not be collected
    table: np.ndarray

    @property
    def n_dim(self) -> int:
        """Number of unconstrained parameters."""
        return int(self.plan["n_dim"])

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each variable."""
        return {name: tuple(shape) for name, shape in zip(self.plan["names"], self.plan["shapes"], strict=True)}

    @property
    def coords(self) -> dict[str, Any]:
        """Labels: none here, the caller has them."""
        return {}

    def with_values(self, values: Mapping[str, np.ndarray]) -> Native:
        """The same code on other data; the number of rows may differ, the shape of a parameter may not."""
        table, arrays = _table(self.plan["data"], values)
        return replace(self, table=table, alive=(*self.alive[:1], arrays))

    def _make_sampler(self, settings: Any, init_mean: Any, cores: Any, progress_type: Any, callback: Any, rate: Any,
                      store: Any) -> Any:  # fmt: skip
        plan, n = self.plan, self.n_dim
        expand = _lib.ExpandFunc(n, plan["n_expanded"], self.address["expand"], self.table.ctypes.data, self)
        logp = _lib.LogpFunc(self.address["logp"], self.table.ctypes.data, self)
        dims = {name: [f"{name}_{i}" for i in range(len(shape))] for name, shape in self.shapes.items()}
        sizes = {dim: n for name, shape in self.shapes.items() for dim, n in zip(dims[name], shape, strict=True)}
        kinds = ["float64"] * len(dims)
        variables = _lib.PyVariable.new_variables(plan["names"], kinds, plan["shapes"], sizes, dims)
        start = np.asarray(plan["start"], float)

        def initial_point(seed: Any) -> np.ndarray:
            return start + np.random.default_rng(seed).uniform(-1, 1, n)

        model = _lib.PyMcModel(logp, expand, variables, n, sizes, {}, initial_point, None)
        return _lib.PySampler.from_pymc(settings, cores, model, progress_type, callback, rate, store)


def compile_native(model: pm.Model, values: Mapping[str, np.ndarray], *, cache: bool = True) -> Native:
    """Machine code for a PyMC model: from the disk where it is, else compiled and put there.

    Parameters
    ----------
    model : pymc.Model
        With all data in ``pm.Data``.
    values : mapping of str to array
        The data by name.
    cache : bool
        Whether to read and write the cache on disk.
    """
    path = Path(str(pytensor.config.compiledir)) / "progression" / f"{graph_key(model)}.zip"
    if cache and path.exists():
        try:
            return _link(*_read(path), values)
        except (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile):
            path.unlink(missing_ok=True)  # torn, or made by another build of numba: compile again
    plan, libraries = _compile(model)
    if cache and _write(path, plan, libraries):
        return _link(*_read(path), values)  # the very code that later processes run, so that results are the same
    return _link(plan, libraries, values)


def graph_key(model: pm.Model) -> str:
    """A hash of all that determines the machine code: graph, constants, transforms, shapes, versions, processor."""
    variables = [*model.free_RVs, *model.observed_RVs, *model.deterministics, *model.potentials]
    text = io.StringIO()
    debugprint(variables, print_type=True, file=text)
    digest = hashlib.sha256(re.sub(r"0x[0-9a-fA-F]+", "", text.getvalue()).encode())
    for node in ancestors(variables):
        if isinstance(node, pytensor.graph.Constant) and isinstance(node.data, np.ndarray):
            digest.update(np.ascontiguousarray(node.data).tobytes())  # printing shortens long constants
    facts = {
        "layout": _LAYOUT,
        "functions": VERSION,
        "names": [rv.name for rv in variables],
        "transforms": [repr(type(model.rvs_to_transforms.get(rv))) for rv in model.free_RVs],
        "sizes": _sizes(model),
        "versions": [version(name) for name in ("pymc", "pytensor", "nutpie", "numba", "llvmlite", "numpy")],
        "machine": [platform.python_version(), platform.platform(), llvmlite.binding.get_host_cpu_name()],
        "features": llvmlite.binding.get_host_cpu_features().flatten(),
        "flags": [str(pytensor.config.floatX), str(pytensor.config.numba__fastmath)],
    }
    digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:40]


def _sizes(model: pm.Model) -> dict[str, Any]:
    """Whatever the shapes of the parameters depend on: the lengths of their dims, or of all data where one has no dims."""
    dims = [model.named_vars_to_dims.get(rv.name) for rv in model.unobserved_RVs if rv.type.ndim]
    if any(names is None or None in names for names in dims):
        return {**{v.name: v.get_value().shape for v in model.data_vars}, **_lengths(model, model.coords)}
    return _lengths(model, {name for names in dims if names for name in names})


def _lengths(model: pm.Model, names: Any) -> dict[str, int]:
    return {name: len(model.coords[name] or ()) for name in names}


def _compile(model: pm.Model) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compile with numba; the names of the C functions go into the plan."""
    start = make_initial_point_fn(model=model, return_transformed=True)
    made = compile_pymc._make_functions(
        model, mode=COMPILED, compute_grad=True, join_expanded=True, pymc_initial_point_fn=start
    )
    n_dim, n_expanded, logp, expand, flat_start, (names, _, shapes), reparameterized = made
    shared = list(dict.fromkeys([*logp.get_shared(), *expand.get_shared()]))
    plan: dict[str, Any] = {
        "n_dim": int(n_dim), "n_expanded": int(n_expanded), "names": list(names),
        "shapes": [[int(n) for n in shape] for shape in shapes], "transformed": list(reparameterized),
        "data": [[v.name, str(v.type.dtype), v.type.ndim] for v in shared], "start": flat_start(0).tolist(),
    }  # fmt: skip
    libraries, plan["symbols"] = {}, {}
    for kind, function in (("logp", logp), ("expand", expand)):
        callback: Any = numba.cfunc(_SIGNATURES[kind])(_wrapper(kind, function, shared, plan))
        libraries[kind], plan["symbols"][kind] = callback._library, callback._wrapper_name
    return plan, libraries


def _wrapper(kind: str, function: Any, shared: list[Any], plan: Mapping[str, Any]) -> Any:
    """Source of the C function: plain lines that unpack the table, since numba's generic ways take seconds to type."""
    first: dict[Any, int] = {}
    for variable in shared:
        first[variable] = sum(1 + v.type.ndim for v in first)
    names: dict[str, Any] = {
        "carray": numba.carray, "pointer": compile_pymc.address_as_void_pointer, "np": np, "inner": function.vm.jit_fn,
    }  # fmt: skip
    lines = [
        f"u = carray(user, ({_table_length(plan['data'])},), np.uintp)",
        f"x = carray(x_, ({plan['n_dim']},))",
    ]
    for i, variable in enumerate(function.get_shared()):
        names[f"t{i}"], at = np.dtype(variable.type.dtype), first[variable]
        shape = "".join(f"np.intp(u[{at + 1 + axis}])," for axis in range(variable.type.ndim))
        lines.append(f"a{i} = carray(pointer(u[{at}]), ({shape}), t{i})")
    arguments = "".join(f", a{i}" for i in range(len(function.get_shared())))
    if kind == "logp":
        lines += [
            f"value, gradient = inner(x{arguments})", f"out = carray(out_, ({plan['n_dim']},))", "state = 0",
            f"for i in range({plan['n_dim']}):", "    out[i] = gradient[i]",
            "    if not np.isfinite(gradient[i]): state = 3", "scalar = value[()]", "logp[0] = scalar",
            "if not np.isfinite(scalar): state = 4", "return state",
        ]  # fmt: skip
    else:
        lines += [f"(drawn,) = inner(x{arguments})", f"out = carray(out_, ({plan['n_expanded']},))",
                  f"for i in range({plan['n_expanded']}): out[i] = drawn[i]", "return 0"]  # fmt: skip
    signature = "n, x_, out_, logp, user" if kind == "logp" else "n, m, x_, out_, user"
    exec(f"def {kind}({signature}):\n    " + "\n    ".join(lines), names)
    return names[kind]


def _link(plan: Mapping[str, Any], libraries: Mapping[str, Any], values: Mapping[str, np.ndarray]) -> Native:
    address = {kind: libraries[kind].get_pointer_to_function(name) for kind, name in plan["symbols"].items()}
    table, arrays = _table(plan["data"], values)
    return Native(dims={}, reparameterized_names=plan["transformed"], plan=plan, address=address,
                  alive=(tuple(libraries.values()), arrays), table=table)  # fmt: skip


def _table_length(data: Any) -> int:
    return sum(1 + ndim for _, _, ndim in data)


def _table(data: Any, values: Mapping[str, np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Address and shape of each array, in the order the code expects; and the arrays, to be kept alive."""
    entries: list[int] = []
    arrays = []
    for name, dtype, ndim in data:
        array = np.array(values[name], dtype=dtype, order="C", copy=True)
        if array.ndim != ndim:
            raise ValueError(f"{name} has {array.ndim} dimensions where the program was compiled for {ndim}")
        entries += [array.ctypes.data, *array.shape]
        arrays.append(array)
    return np.array(entries, np.uintp), arrays


def _write(path: Path, plan: Mapping[str, Any], libraries: Mapping[str, Any]) -> bool:
    buffer = io.BytesIO()
    try:
        with zipfile.ZipFile(buffer, "w") as archive:
            names = sorted({name for library in libraries.values() for name in _imports(library)})
            archive.writestr("plan.json", json.dumps({**plan, "imports": names}))
            for kind, library in libraries.items():
                if library.has_dynamic_globals:
                    return False  # it holds an address of this process
                _, _, (code, shared) = library.serialize_using_object_code()
                archive.writestr(f"{kind}.o", code)
                archive.writestr(f"{kind}.bc", shared)
                archive.writestr(f"{kind}.env", serialize.dumps(_environments(code)))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())
    except (OSError, LookupError, TypeError, pickle.PicklingError):
        return False  # what cannot be cached is a slower start, not an error
    return True


def _environments(code: bytes) -> list[Environment]:
    """Python objects the code looks up when it runs: numba asks for each by name, with a message if it is absent.

    They are those of special functions (gamma, beta, normal tails), which fetch an address when first called. Like
    numba's own cache of them, the file is trusted as much as the folder it is in, which is the user's own.
    """
    names = {name.decode() for name in re.findall(rb"missing Environment: (\w+)", code)}
    found = {name: lookup_environment(name) for name in names}
    lost = [name for name, environment in found.items() if environment is None or not environment.can_cache()]
    if lost:
        raise LookupError(f"no environment for {lost}")
    return list(found.values())


def _imports(library: Any) -> list[str]:
    functions = library._final_module.functions
    return [f.name for f in functions if f.is_declaration and not f.name.startswith("llvm.")]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    context = cpu_target.target_context
    rtsys.initialize(context)
    codegen = context.codegen()
    with zipfile.ZipFile(path) as archive:  # each member carries a checksum that reading verifies
        plan = json.loads(archive.read("plan.json"))
        if not all(llvmlite.binding.address_of_symbol(name) for name in plan["imports"]):
            raise RuntimeError("the code calls a function this process does not have")  # LLVM would end the process
        parts = {kind: (archive.read(f"{kind}.o"), archive.read(f"{kind}.bc")) for kind in plan["symbols"]}
        environments = {kind: pickle.loads(archive.read(f"{kind}.env")) for kind in plan["symbols"]}
    libraries = {kind: codegen.unserialize_library((kind, "object", part)) for kind, part in parts.items()}
    for kind, library in libraries.items():
        for environment in environments[kind]:
            library.codegen.set_env(environment.env_name, environment)
        library.environments = environments[kind]  # numba keeps them by weak reference only
    return plan, libraries
