// The check of the processor lets pass what runs. What it refuses is tested in tests/processor.
#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/core/processor.hpp>
#endif

TEST_CASE("a processor that runs the tests has what they were compiled for") {
    ctnn::require_processor();  // would end the process
    SUCCEED();
}
