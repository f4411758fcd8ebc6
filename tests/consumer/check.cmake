# Builds and runs the consumer in an empty folder; for `package`, ctnn is installed beside it first.
function(run)
    execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE output)
    set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${binary})
if(way STREQUAL "package")
    run(${CMAKE_COMMAND} --install ${library} --prefix ${binary}/prefix)
endif()
run(${CMAKE_COMMAND} -G ${generator} -S ${CMAKE_CURRENT_LIST_DIR} -B ${binary}/build -D way=${way} -D source=${source}
    -D CMAKE_CXX_COMPILER=${compiler} -D CMAKE_PREFIX_PATH=${binary}/prefix)
run(${CMAKE_COMMAND} --build ${binary}/build)
run(${binary}/build/consumer)
message("${output}")
if(expect_openmp AND NOT way STREQUAL "single_header" AND NOT output MATCHES "OpenMP")
    message(FATAL_ERROR "OpenMP did not come with ctnn")
endif()
