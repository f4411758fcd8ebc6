"""A recipe for Conan 2: `conan create .` packs the headers, which is all there is to build."""
import pathlib
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy


class Ctnn(ConanFile):
    name = "ctnn"
    description = "Convolutional networks as C++ types"
    license = "MIT"
    topics = "neural-network", "cnn", "simd", "header-only"
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    exports = "include/ctnn/core/config.hpp"
    exports_sources = "include/*", "LICENSE"
    no_copy_source = True

    def set_version(self):
        """The version has one home, the header."""
        header = pathlib.Path(self.recipe_folder, "include/ctnn/core/config.hpp").read_text("utf-8")
        self.version = ".".join(re.findall(r"#define CTNN_VERSION_[A-Z]+ (\d+)", header))

    def requirements(self):
        self.requires("fmt/11.2.0")
        self.requires("xsimd/13.2.0")

    def validate(self):
        check_min_cppstd(self, 20)

    def package(self):
        copy(self, "LICENSE", self.source_folder, str(pathlib.Path(self.package_folder, "licenses")))
        copy(self, "*.hpp", str(pathlib.Path(self.source_folder, "include")),
             str(pathlib.Path(self.package_folder, "include")))

    def package_info(self):
        # Neither -march nor -fopenmp: who builds the program decides them.
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.set_property("cmake_file_name", "ctnn")
        self.cpp_info.set_property("cmake_target_name", "ctnn::ctnn")
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["pthread"]

    def package_id(self):
        self.info.clear()
