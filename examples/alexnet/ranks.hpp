// The processes that train together where mpirun has started several, and this one alone where nobody has.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ctnn/distributed/communicator.hpp>

namespace alexnet {

/// What moves the bytes.
class Transport {
  public:
    Transport() = default;
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;
    virtual ~Transport() = default;

    [[nodiscard]] virtual int rank() const = 0;
    [[nodiscard]] virtual int size() const = 0;
    [[nodiscard]] virtual int local_size() const = 0;
    virtual void set_timeout(double seconds) = 0;
    virtual void all_reduce(std::span<float> values) = 0;
    virtual void all_reduce(std::span<double> values) = 0;
    virtual void start_all_reduce(std::span<float> values) = 0;
    virtual void start_all_reduce(std::span<double> values) = 0;
    virtual void finish() = 0;
    virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
    virtual void barrier() = 0;
    virtual void abort(int status) = 0;
};

/// A ctnn::distributed::Communicator.
class Ranks {
  public:
    /// Joins those that a launcher of MPI started beside this process. Throws ctnn::Error where there are some and this
    /// program was built without MPI.
    Ranks();
    explicit Ranks(std::unique_ptr<Transport> transport) : transport_{std::move(transport)} {}
    Ranks(const Ranks&) = delete;
    Ranks& operator=(const Ranks&) = delete;
    /// Waits for the others to end.
    ~Ranks() = default;

    [[nodiscard]] int rank() const { return transport_ ? transport_->rank() : 0; }
    [[nodiscard]] int size() const { return transport_ ? transport_->size() : 1; }
    /// On this machine.
    [[nodiscard]] int local_size() const { return transport_ ? transport_->local_size() : 1; }
    [[nodiscard]] bool first() const { return rank() == 0; }
    [[nodiscard]] bool alone() const { return size() == 1; }
    /// How long one may let the others wait.
    void set_timeout(double seconds) {
        if (transport_) { transport_->set_timeout(seconds); }
    }

    template <class T>
    void all_reduce(std::span<T> values) {
        if (transport_) { transport_->all_reduce(values); }
    }
    template <class T>
    void start_all_reduce(std::span<T> values) {
        if (transport_) { transport_->start_all_reduce(values); }
    }
    void finish() {
        if (transport_) { transport_->finish(); }
    }
    void broadcast(std::span<std::byte> bytes, int root) {
        if (transport_) { transport_->broadcast(bytes, root); }
    }
    void barrier() {
        if (transport_) { transport_->barrier(); }
    }

    /// The first rank's, on all of them.
    [[nodiscard]] std::string text_of_first(std::string text);
    /// Whether it holds on any of them.
    [[nodiscard]] bool any(bool value);
    /// Throws ctnn::Error that names the first fact that differs from the first rank's.
    void require_same(const std::vector<std::pair<std::string, std::string>>& facts);

    /// To be called before an error is told: one that all ranks have is told by the first of them, which ends the
    /// others.
    void wait_for_earlier_ones() const;
    /// Ends all ranks.
    void abort(int status) {
        if (transport_) { transport_->abort(status); }
    }
    /// "", or "rank 2 of 4: " of one that is not the first.
    [[nodiscard]] std::string prefix() const;

  private:
    std::unique_ptr<Transport> transport_;  // null: alone
};
static_assert(ctnn::distributed::Communicator<Ranks>);

/// A number for the bytes of a file, or of the model, that is another one for others.
std::string fingerprint(std::span<const std::byte> bytes);
/// Of this program's own file; empty where the system does not show it.
std::string program_fingerprint();

}  // namespace alexnet
