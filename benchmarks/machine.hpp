// What figures depend on besides the code: processor, compiler, instruction set, versions.
#pragma once

#include <string>

#include <ctnn/io/json.hpp>

namespace ctnn::inline CTNN_ISA::bench {

/// "ctnn 0.1.0, GCC 12.2.0 at -O3 -march=native, avx512".
std::string program_facts();

/// The same as members, with the processor's name and the number of its cores that this process may use.
Json::Object machine_facts();

}  // namespace ctnn::inline CTNN_ISA::bench
