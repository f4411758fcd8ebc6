// A short training, as one compiler and one set of options make it.
#pragma once

#include <string>
#include <vector>

/// What is to be compared between programs. Nothing of ctnn's stands here: files built for different instruction sets
/// share this one.
struct Steps {
    std::string isa;
    double loss = 0;             ///< of the last step
    std::vector<float> numbers;  ///< all parameters in the order of their files, then the running statistics, twice:
                                 ///< after four steps, and after the last
};

/// Twenty steps on numbers of a seed, by so many threads. Files may be linked together that give it different names.
#ifndef CTNN_STEPS
#define CTNN_STEPS train_some_steps
#endif
Steps CTNN_STEPS(int threads);
