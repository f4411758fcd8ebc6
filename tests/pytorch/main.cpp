// Called by check.py: the network's name and the folder of the files.
#include <array>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string_view>
#include <utility>

using Runner = void(const std::filesystem::path&);
Runner small_alexnet, alexnet32, alexnet_lrn, alexnet_bn, alexnet_wide, alexnet, alexnet_one_tower;

int main(int argc, char** argv) {
    constexpr std::array<std::pair<std::string_view, Runner*>, 7> networks{{{"SmallAlexNet", small_alexnet},
                                                                            {"AlexNet32", alexnet32},
                                                                            {"AlexNetLrn", alexnet_lrn},
                                                                            {"AlexNetBn", alexnet_bn},
                                                                            {"AlexNetWide", alexnet_wide},
                                                                            {"AlexNet", alexnet},
                                                                            {"AlexNetOneTower", alexnet_one_tower}}};
    try {
        for (const auto& [name, run] : networks) {
            if (argc == 3 && name == argv[1]) {
                run(argv[2]);
                return 0;
            }
        }
        std::fputs("expected a network's name and a folder\n", stderr);
    } catch (const std::exception& error) { std::fprintf(stderr, "%s\n", error.what()); }
    return 1;
}
