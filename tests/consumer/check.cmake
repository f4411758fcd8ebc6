# Builds and runs the consumer in an empty folder, `binary`. How it comes by ctnn is its `way`:
#   subdirectory, single_header  the sources
#   package                      installed from the tree of the tests, `library`
#   own_packages                 the sources, beside xsimd and fmt that the consumer builds itself
#   fetch                        the sources, which fetch xsimd and fmt
#   fetch_package                installed from a tree that fetched xsimd and fmt
#   deb                          the Debian package, unpacked into an empty folder
#   missing_package              the sources, and installed, where xsimd or fmt is missing: they must say where to get it
cmake_minimum_required(VERSION 3.25)

function(run)
    execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE output ECHO_OUTPUT_VARIABLE)
    set(output "${output}" PARENT_SCOPE)
endfunction()

# Sources of xsimd or fmt, made of this machine's headers: like upstream's, they declare a target and install it.
function(make_sources name namespace headers)
    file(COPY ${headers}/${name} DESTINATION ${binary}/sources/${name}/include)
    file(CONFIGURE OUTPUT ${binary}/sources/${name}/CMakeLists.txt @ONLY CONTENT [[
cmake_minimum_required(VERSION 3.25)
project(@name@ LANGUAGES CXX)
add_library(@name@ INTERFACE)
add_library(@name@::@name@ ALIAS @name@)
target_include_directories(@name@ INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
target_compile_definitions(@name@ INTERFACE TESTS_OWN_@name@ FMT_HEADER_ONLY=1)
install(TARGETS @name@ EXPORT @name@)
install(DIRECTORY include/@name@ DESTINATION include)
install(EXPORT @name@ FILE @name@Config.cmake NAMESPACE "@namespace@" DESTINATION lib/cmake/@name@)
]])
endfunction()

file(REMOVE_RECURSE ${binary})
set(cmake ${CMAKE_COMMAND} --no-warn-unused-cli -G ${generator} -D CMAKE_CXX_COMPILER=${compiler} -D CMAKE_CXX_FLAGS=)
set(consumer ${cmake} -S ${CMAKE_CURRENT_LIST_DIR} -B ${binary}/build -D source=${source})

if(way STREQUAL "missing_package")
    run(${CMAKE_COMMAND} --install ${library} --prefix ${binary}/prefix)
    foreach(name xsimd fmt)
        set(install "ctnn: ${name} was not found. Install it (Debian: lib${name}-dev, vcpkg: ${name}, Homebrew: ${name}),")
        set(place "name its place by -D${name}_DIR=...")
        set(subdirectory "${install} ${place}, or let CMake download it by -DCTNN_FETCH_DEPS=ON.")
        set(package "${install} or ${place}")
        foreach(missing_in subdirectory package)
            execute_process(COMMAND ${consumer} --fresh -D way=${missing_in} -D CMAKE_PREFIX_PATH=${binary}/prefix
                                    -D CMAKE_DISABLE_FIND_PACKAGE_${name}=ON
                            RESULT_VARIABLE failed OUTPUT_QUIET ERROR_VARIABLE output)
            string(REGEX REPLACE "[ \n]+" " " text "${output}")
            string(FIND "${text}" "${${missing_in}}" found)
            if(NOT failed OR found EQUAL -1)
                message(FATAL_ERROR "${missing_in}: configured without ${name}, CMake must fail and say\n  ${${missing_in}}\n"
                                    "It says\n${output}")
            endif()
        endforeach()
    endforeach()
    return()
endif()

set(without_packages -D CMAKE_DISABLE_FIND_PACKAGE_xsimd=ON -D CMAKE_DISABLE_FIND_PACKAGE_fmt=ON)
set(fetch ${without_packages} -D CTNN_FETCH_DEPS=ON -D FETCHCONTENT_SOURCE_DIR_XSIMD=${binary}/sources/xsimd
    -D FETCHCONTENT_SOURCE_DIR_FMT=${binary}/sources/fmt)
if(way MATCHES "own|fetch")
    make_sources(xsimd "" ${xsimd_headers})
    make_sources(fmt fmt:: ${fmt_headers})
endif()

if(way STREQUAL "package")
    run(${CMAKE_COMMAND} --install ${library} --prefix ${binary}/prefix)
elseif(way STREQUAL "fetch_package")
    # With headers in another place than usual, where the package must find them too.
    run(${cmake} -S ${source} -B ${binary}/library ${fetch} -D CTNN_TESTS=OFF -D CTNN_EXAMPLES=OFF -D CTNN_BENCHMARKS=OFF
        -D CMAKE_INSTALL_INCLUDEDIR=headers -D CMAKE_INSTALL_PREFIX=${binary}/prefix)
    run(${CMAKE_COMMAND} --build ${binary}/library)
    run(${CMAKE_COMMAND} --install ${binary}/library)
endif()

if(way STREQUAL "deb")
    find_program(dpkg_deb dpkg-deb)
    if(NOT dpkg_deb)
        message("Skipped: no dpkg-deb to make a Debian package with")
        return()
    endif()
    # From a tree of its own, whose cpack has nothing else to build.
    run(${cmake} -S ${source} -B ${binary}/library -D CTNN_TESTS=OFF -D CTNN_EXAMPLES=OFF -D CTNN_BENCHMARKS=OFF)
    cmake_path(GET CMAKE_COMMAND PARENT_PATH bin)
    run(${CMAKE_COMMAND} -E chdir ${binary}/library ${bin}/cpack -G DEB)
    file(GLOB package ${binary}/library/libctnn-dev_*_all.deb)
    run(${dpkg_deb} --field ${package} Architecture Depends)
    if(NOT output STREQUAL "Architecture: all\nDepends: libxsimd-dev, libfmt-dev\n")
        message(FATAL_ERROR "Not a package for all processors that depends on xsimd and fmt")
    endif()
    run(${dpkg_deb} --extract ${package} ${binary}/root)

    file(GLOB_RECURSE expected RELATIVE ${source} ${source}/include/*)
    foreach(file ctnnConfig ctnnConfigVersion ctnnTargets)
        list(APPEND expected share/ctnn/${file}.cmake)
    endforeach()
    list(APPEND expected share/ctnn/copyright share/ctnn/single_include/ctnn/ctnn.hpp)
    file(GLOB_RECURSE documents RELATIVE ${source} ${source}/docs/*.md ${source}/docs/*.svg ${source}/docs/*.png)
    list(APPEND documents README.md CHANGELOG.md CONTRIBUTING.md copyright)
    list(TRANSFORM documents PREPEND share/doc/libctnn-dev/)
    list(APPEND expected ${documents})
    file(GLOB_RECURSE found RELATIVE ${binary}/root/usr ${binary}/root/*)
    foreach(list found expected)
        list(SORT ${list})
        list(JOIN ${list} "\n" ${list})
    endforeach()
    if(NOT found STREQUAL expected)
        message(FATAL_ERROR "The package has\n${found}\n\nexpected\n${expected}")
    endif()
endif()

# The consumer's own standard is older than ctnn's, which brings its own.
list(APPEND consumer -D CMAKE_CXX_STANDARD=17 -D CMAKE_EXPORT_COMPILE_COMMANDS=ON)
if(way STREQUAL "own_packages")
    run(${consumer} -D way=own_packages -D packages=${binary}/sources ${without_packages})
elseif(way STREQUAL "fetch")
    run(${consumer} -D way=subdirectory ${fetch})
elseif(way STREQUAL "fetch_package")
    run(${consumer} -D way=package -D CMAKE_PREFIX_PATH=${binary}/prefix)
elseif(way STREQUAL "deb")
    run(${consumer} -D way=package -D CMAKE_PREFIX_PATH=${binary}/root/usr)
else()
    run(${consumer} -D way=${way} -D CMAKE_PREFIX_PATH=${binary}/prefix)
endif()
run(${CMAKE_COMMAND} --build ${binary}/build)
run(${binary}/build/consumer)
if(expect_openmp AND NOT way STREQUAL "single_header" AND NOT output MATCHES "OpenMP")
    message(FATAL_ERROR "OpenMP did not come with ctnn")
endif()

# The standard and OpenMP come with ctnn, but nothing else that changes how the consumer is compiled.
file(READ ${binary}/build/compile_commands.json commands)
string(JSON command GET "${commands}" 0 command)
if(NOT command MATCHES " -std=(c|gnu)\\+\\+20 ")
    message(FATAL_ERROR "Not compiled as C++20: ${command}")
endif()
string(REGEX REPLACE " -fopenmp[^ ]*" "" command "${command}")
if(command MATCHES " (-[mOWfg][^ ]*)")
    message(FATAL_ERROR "ctnn brings ${CMAKE_MATCH_1} into the consumer: ${command}")
endif()
if(way MATCHES "own|fetch" AND NOT (command MATCHES "TESTS_OWN_xsimd" AND command MATCHES "TESTS_OWN_fmt"))
    message(FATAL_ERROR "Compiled with the machine's xsimd or fmt: ${command}")
endif()
