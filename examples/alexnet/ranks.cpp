#include "ranks.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include <fmt/format.h>
#include <zlib.h>

#include <ctnn/core/error.hpp>
#include <ctnn/io/file.hpp>

#ifdef ALEXNET_MPI
#include <ctnn/distributed/mpi.hpp>
#endif

namespace alexnet {

namespace {

#ifdef ALEXNET_MPI

class Mpi final : public Transport {
  public:
    [[nodiscard]] int rank() const override { return mpi_.rank(); }
    [[nodiscard]] int size() const override { return mpi_.size(); }
    [[nodiscard]] int local_size() const override { return mpi_.local_size(); }
    void set_timeout(double seconds) override { mpi_.set_timeout(std::chrono::duration<double>{seconds}); }
    void all_reduce(std::span<float> values) override { mpi_.all_reduce(values); }
    void all_reduce(std::span<double> values) override { mpi_.all_reduce(values); }
    void start_all_reduce(std::span<float> values) override { mpi_.start_all_reduce(values); }
    void start_all_reduce(std::span<double> values) override { mpi_.start_all_reduce(values); }
    void finish() override { mpi_.finish(); }
    void broadcast(std::span<std::byte> bytes, int root) override { mpi_.broadcast(bytes, root); }
    void barrier() override { mpi_.barrier(); }
    void abort(int status) override { mpi_.abort(status); }

  private:
    ctnn::distributed::MpiCommunicator mpi_;
};

std::unique_ptr<Transport> join_others() {
    if (!ctnn::distributed::MpiCommunicator::launched()) { return nullptr; }
    return std::make_unique<Mpi>();
}

#else

std::unique_ptr<Transport> join_others() {
    for (const auto& [size_name, rank_name] :
         {std::pair{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"}, std::pair{"PMI_SIZE", "PMI_RANK"}}) {
        const char* const size = std::getenv(size_name);
        if (size == nullptr || std::atoi(size) <= 1) { continue; }
        // One says it, whose end is the others'.
        const char* const rank = std::getenv(rank_name);
        if (rank != nullptr && std::atoi(rank) != 0) { std::this_thread::sleep_for(std::chrono::seconds{2}); }
        throw ctnn::Error(
            fmt::format("found {} processes, started by MPI, expected one: this program was built without "
                        "MPI; install it (Debian: libopenmpi-dev openmpi-bin) and build again",
                        size));
    }
    return nullptr;
}

#endif

}  // namespace

Ranks::Ranks() : transport_{join_others()} {}

std::string Ranks::text_of_first(std::string text) {
    std::uint64_t size = text.size();
    broadcast(std::as_writable_bytes(std::span{&size, 1}), 0);
    text.resize(size);
    broadcast(std::as_writable_bytes(std::span{text}), 0);
    return text;
}

bool Ranks::any(bool value) {
    double sum = value ? 1.0 : 0.0;
    all_reduce(std::span{&sum, 1});
    return sum > 0.0;
}

void Ranks::require_same(const std::vector<std::pair<std::string, std::string>>& facts) {
    if (alone()) { return; }
    std::string text;
    for (const auto& [key, value] : facts) { text += fmt::format("{}\n{}\n", key, value); }
    const std::string theirs = text_of_first(text);
    std::string_view left = theirs;
    const auto line = [&] {
        const std::string_view found = left.substr(0, left.find('\n'));
        left.remove_prefix(std::min(found.size() + 1, left.size()));
        return found;
    };
    std::string difference;
    for (const auto& [key, value] : facts) {
        const std::string_view their_key = line(), their_value = line();
        if (key == their_key && value == their_value) { continue; }
        difference = fmt::format("{} is {}, expected {} as on the first rank", key, value,
                                 key == their_key ? their_value : fmt::format("{} {}", their_key, their_value));
        break;
    }
    const bool differ = any(!difference.empty());
    if (!difference.empty()) { throw ctnn::Error(difference); }
    if (differ) { barrier(); }  // which one that differs does not come to: it ends all
}

void Ranks::wait_for_earlier_ones() const {
    std::signal(SIGTERM, SIG_DFL);  // which mpirun sends when one has ended all
    std::this_thread::sleep_for(std::chrono::milliseconds{1000 * std::min(rank(), 5) + 20 * rank()});
}

std::string Ranks::prefix() const { return first() ? "" : fmt::format("rank {} of {}: ", rank(), size()); }

std::string fingerprint(std::span<const std::byte> bytes) {
    const auto* const data = reinterpret_cast<const Bytef*>(bytes.data());
    return fmt::format("{:08x}", crc32_z(crc32_z(0, nullptr, 0), data, bytes.size()));
}

std::string program_fingerprint() {
    std::error_code error;
    const std::filesystem::path file = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error || !std::filesystem::is_regular_file(file, error)) { return {}; }
    return fingerprint(ctnn::read_file(file));
}

}  // namespace alexnet
