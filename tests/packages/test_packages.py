#!/usr/bin/env python3
"""Checks vcpkg.json and conanfile.py as far as that goes without vcpkg and Conan: what they say is what CMake says, and
the recipe, run with a few lines in Conan's place, packs the headers."""
import json
import pathlib
import re
import shutil
import sys
import tempfile
import types
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CMAKE = (ROOT / "CMakeLists.txt").read_text("utf-8")
CMAKE_ALEXNET = (ROOT / "examples/alexnet/CMakeLists.txt").read_text("utf-8")
HEADER = (ROOT / "include/ctnn/core/config.hpp").read_text("utf-8")
VERSION = ".".join(re.findall(r"#define CTNN_VERSION_\w+ (\d+)", HEADER))


def required(text: str) -> dict[str, str]:
    """Name and version of what a CMakeLists.txt looks for by ctnn_require."""
    return dict(re.findall(r"^ctnn_require\((\w+) \S+ v?([\d.]+)", text, re.MULTILINE))


class Properties:
    """In the place of cpp_info and of info: takes whatever is set."""

    def __init__(self):
        self.properties, self.cleared = {}, False

    def set_property(self, name, value):
        self.properties[name] = value

    def clear(self):
        self.cleared = True


def copy(_, pattern, source, destination):
    """conan.tools.files.copy, of which the recipe needs no more."""
    source = pathlib.Path(source)
    for path in source.rglob(pattern) if "*" in pattern else [source / pattern]:
        to = pathlib.Path(destination) / path.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)


class VcpkgTest(unittest.TestCase):
    def setUp(self):
        self.manifest = json.loads((ROOT / "vcpkg.json").read_text("utf-8"))

    def test_version_and_licence(self):
        self.assertRegex(VERSION, r"^\d+\.\d+\.\d+$")
        self.assertEqual(self.manifest["version"], VERSION)
        self.assertTrue((ROOT / "LICENSE").read_text("utf-8").startswith(self.manifest["license"] + " "))

    def test_dependencies_are_those_of_cmake(self):
        self.assertEqual(set(self.manifest["dependencies"]), set(required(CMAKE)))
        examples = set(self.manifest["features"]["examples"]["dependencies"])
        self.assertEqual(set(map(str.lower, required(CMAKE_ALEXNET))) - examples, set())
        libraries = re.search(r"foreach\(library (.*)\)", CMAKE_ALEXNET)[1].lower().split()
        for library in libraries:
            self.assertTrue(any(library in name for name in examples), library)


class ConanTest(unittest.TestCase):
    def setUp(self):
        self.requires = []
        base = type("ConanFile", (), {"requires": lambda _, reference: self.requires.append(reference)})
        self.minimum = []
        names = {"conan": {"ConanFile": base}, "conan.tools": {}, "conan.tools.files": {"copy": copy},
                 "conan.tools.build": {"check_min_cppstd": lambda _, standard: self.minimum.append(standard)}}
        for name, members in names.items():
            sys.modules[name] = types.ModuleType(name)
            vars(sys.modules[name]).update(members)
            self.addCleanup(sys.modules.pop, name)
        scope = {}
        exec(compile((ROOT / "conanfile.py").read_text("utf-8"), "conanfile.py", "exec"), scope)
        self.recipe = scope["Ctnn"]()
        self.recipe.recipe_folder = self.recipe.source_folder = str(ROOT)
        self.recipe.cpp_info, self.recipe.info = Properties(), Properties()
        self.recipe.settings = types.SimpleNamespace(os="Linux")

    def test_version_and_dependencies_are_those_of_cmake(self):
        self.recipe.set_version()
        self.assertEqual(self.recipe.version, VERSION)
        self.recipe.requirements()
        self.assertEqual(sorted(self.requires), sorted(f"{name}/{tag}" for name, tag in required(CMAKE).items()))

    def test_what_it_exports_is_there(self):
        for pattern in [self.recipe.exports, *self.recipe.exports_sources]:
            self.assertNotEqual(list(ROOT.glob(pattern)), [], pattern)

    def test_it_packs_the_headers_for_every_processor(self):
        with tempfile.TemporaryDirectory() as folder:
            self.recipe.package_folder = folder
            self.recipe.package()
            packed = {str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*") if path.is_file()}
        headers = {str(path.relative_to(ROOT)) for path in ROOT.glob("include/**/*.hpp")}
        self.assertEqual(packed, {*headers, "licenses/LICENSE"})
        self.recipe.package_id()
        self.assertTrue(self.recipe.info.cleared)

    def test_it_asks_for_cpp20_and_names_the_target(self):
        self.recipe.validate()
        self.assertEqual(self.minimum, [20])
        self.recipe.package_info()
        self.assertEqual(self.recipe.cpp_info.properties,
                         {"cmake_file_name": "ctnn", "cmake_target_name": "ctnn::ctnn"})
        self.assertFalse(hasattr(self.recipe.cpp_info, "cxxflags"))


if __name__ == "__main__":
    unittest.main()
