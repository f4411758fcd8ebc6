# The numeric tests for NEON, built by a cross-compiler and run by an emulator, where both are there and no library is
# fetched: Debian's cross-compiler finds the machine's headers, which are all that is needed. The program is static, so that
# no library of the other processor has to be installed; -Og, because that is the quickest to build and run together.
find_program(CTNN_AARCH64_CXX NAMES aarch64-linux-gnu-g++ aarch64-linux-gnu-g++-12)
find_program(CTNN_QEMU_AARCH64 qemu-aarch64)
if(CTNN_FETCH_DEPS OR NOT CTNN_AARCH64_CXX OR NOT CTNN_QEMU_AARCH64)
    message(STATUS "No test isa.neon: it needs a cross-compiler and qemu (Debian: g++-aarch64-linux-gnu qemu-user), "
                   "and installed libraries")
    return()
endif()

set(folder ${CMAKE_CURRENT_BINARY_DIR}/neon)
file(MAKE_DIRECTORY ${folder})
set(objects)
foreach(file unit/main.cpp ${isa_files})
    cmake_path(GET file STEM stem)
    set(object ${folder}/${stem}.o)
    add_custom_command(OUTPUT ${object} DEPENDS ${file} DEPFILE ${object}.d COMMENT "Building for NEON ${file}" VERBATIM
                       COMMAND_EXPAND_LISTS
                       COMMAND ${CTNN_AARCH64_CXX} -std=c++20 -Og -Wno-maybe-uninitialized ${ctnn_arch_neon}
                               $<TARGET_PROPERTY:ctnn_warnings,INTERFACE_COMPILE_OPTIONS> -DFMT_HEADER_ONLY
                               -DCTNN_GOLDEN_DIR="${CMAKE_CURRENT_SOURCE_DIR}/golden" -I${PROJECT_SOURCE_DIR}/include
                               -I${CMAKE_CURRENT_SOURCE_DIR} -MD -MF ${object}.d -MT ${object}
                               -c ${CMAKE_CURRENT_SOURCE_DIR}/${file} -o ${object})
    list(APPEND objects ${object})
endforeach()
add_custom_command(OUTPUT ${folder}/ctnn_neon DEPENDS ${objects} VERBATIM
                   COMMAND ${CTNN_AARCH64_CXX} -static ${objects} -o ${folder}/ctnn_neon)
add_custom_target(ctnn_neon ALL DEPENDS ${folder}/ctnn_neon)
ctnn_test(isa.neon ${CTNN_QEMU_AARCH64} ${folder}/ctnn_neon)
