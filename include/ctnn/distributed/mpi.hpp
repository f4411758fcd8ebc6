// Ranks that MPI has started. Nothing else of ctnn includes this header, or needs MPI.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <mpi.h>

#ifndef CTNN_HAS_COMMUNICATOR  // the single header has it, too
#include <ctnn/distributed/communicator.hpp>
#endif

namespace ctnn::inline CTNN_ISA::distributed {

/// The ranks of an `mpirun`, as a Communicator. Everything of MPI happens in a thread of its own, which keeps sums
/// going while others compute: implementations move bytes within calls alone. It sleeps between looks, and so takes
/// little of a processor. To be used from one thread; at most one in a program, as MPI begins and ends once. Starting
/// allocates nothing, as long as fewer than 64 were started since the last time that all were done; what MPI itself
/// allocates is its own affair.
class MpiCommunicator {
  public:
    using Seconds = std::chrono::duration<double>;

    /// `timeout`: how long other ranks may let this one wait, who may be evaluating or writing files, before it ends
    /// the program on all of them with a line on standard error.
    explicit MpiCommunicator(Seconds timeout = std::chrono::minutes{5}) : timeout_{timeout.count()} {
        tasks_.reserve(64);
        begun_.reserve(64);
        running_.reserve(64);
        thread_ = std::thread{[this] { work(); }};
        std::unique_lock lock{mutex_};
        wake_user_.wait(lock, [this] { return size_ > 0; });
        few_.resize(static_cast<std::size_t>(size_));
    }
    MpiCommunicator(const MpiCommunicator&) = delete;
    MpiCommunicator& operator=(const MpiCommunicator&) = delete;
    /// Waits until every rank ends, as long as it waits for anything.
    ~MpiCommunicator() {
        barrier();
        {
            const std::lock_guard lock{mutex_};
            stop_ = true;
        }
        wake_worker_.notify_one();
        thread_.join();
    }

    /// Whether a launcher has started this process as one of several, by what Open MPI, MPICH and its kin, and PMIx
    /// leave in the environment.
    static bool launched() {
        for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
            if (const char* size = std::getenv(name); size != nullptr) { return std::atoi(size) > 1; }
        }
        return std::getenv("PMIX_RANK") != nullptr;  // Slurm's srun --mpi=pmix, which leaves no size
    }

    [[nodiscard]] int rank() const { return rank_; }
    [[nodiscard]] int size() const { return size_; }
    /// Ranks on this machine.
    [[nodiscard]] int local_size() const { return local_size_; }
    void set_timeout(Seconds timeout) { timeout_ = timeout.count(); }

    /// These wait for their own sum alone: others that were started go on.
    void all_reduce(std::span<float> values) { run(Kind::sum_floats, std::as_writable_bytes(values)); }
    void all_reduce(std::span<double> values) {
        // Of fewer numbers than ranks, Open MPI's choice below makes a ring, of as many turns as there are ranks.
        const bool few = values.size() < few_.size();
        if (few) { std::fill(std::copy(values.begin(), values.end(), few_.begin()), few_.end(), 0.0); }
        run(Kind::sum_doubles, std::as_writable_bytes(few ? std::span{few_} : values));
        if (few) { std::copy_n(few_.begin(), values.size(), values.begin()); }
    }
    void start_all_reduce(std::span<float> values) { start(Kind::sum_floats, std::as_writable_bytes(values)); }
    void start_all_reduce(std::span<double> values) { start(Kind::sum_doubles, std::as_writable_bytes(values)); }
    void broadcast(std::span<std::byte> bytes, int root) { run(Kind::broadcast, bytes, root); }
    void barrier() { run(Kind::barrier, {}); }
    /// Waits for everything that was started.
    void finish() {
        std::unique_lock lock{mutex_};
        wake_user_.wait(lock, [this] { return started_ == finished_; });
    }
    /// Ends the program on every rank, at once.
    [[noreturn]] void abort(int status) {
        for (;;) { run(Kind::abort, {}, status); }
    }

  private:
    enum class Kind : char { sum_floats, sum_doubles, broadcast, barrier, abort };
    struct Task {
        Kind kind;
        std::span<std::byte> bytes;
        int root;   ///< or the status to end with
        int* left;  ///< parts of the same that are not done, where somebody waits for them, or null
    };
    struct Running {
        MPI_Request request;
        int* left;
        bool ended = false;
    };

    static std::size_t element_size(Kind kind) {
        return kind == Kind::sum_floats ? sizeof(float) : kind == Kind::sum_doubles ? sizeof(double) : 1;
    }

    /// MPI counts elements by int: what is longer is several messages.
    void start(Kind kind, std::span<std::byte> bytes, int root = 0, int* left = nullptr) {
        if (bytes.empty() && kind != Kind::barrier && kind != Kind::abort) { return; }
        const std::size_t most = (std::size_t{1} << 28) * element_size(kind);
        {
            const std::lock_guard lock{mutex_};
            do {
                const std::size_t size = std::min(bytes.size(), most);
                tasks_.push_back({kind, bytes.first(size), root, left});
                ++started_;
                if (left != nullptr) { ++*left; }
                bytes = bytes.subspan(size);
            } while (!bytes.empty());
        }
        wake_worker_.notify_one();
    }

    void run(Kind kind, std::span<std::byte> bytes, int root = 0) {
        int left = 0;
        start(kind, bytes, root, &left);
        std::unique_lock lock{mutex_};
        wake_user_.wait(lock, [&] { return left == 0; });
    }

    void work() {
        prefer_short_messages();
        int provided = 0;
        MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
        int rank = 0, size = 1, local_size = 1;
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        MPI_Comm_size(MPI_COMM_WORLD, &size);
        MPI_Comm here = MPI_COMM_NULL;
        MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
        MPI_Comm_size(here, &local_size);
        MPI_Comm_free(&here);
        std::unique_lock lock{mutex_};
        rank_ = rank;
        size_ = size;
        local_size_ = local_size;
        wake_user_.notify_one();
        for (;;) {
            wake_worker_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
            if (tasks_.empty()) { break; }
            run_tasks(lock);
        }
        lock.unlock();
        MPI_Finalize();
    }

    /// Open MPI's default for sums in place sends all of them twice, up a tree and down again. This is Rabenseifner's
    /// algorithm, which halves them from turn to turn; what the user has chosen stays.
    static void prefer_short_messages() {
#if defined(__unix__) || defined(__APPLE__)
        ::setenv("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "3", 0);
#endif
    }

    /// Begins what was asked for, in order, and keeps it going, until all of it is done.
    void run_tasks(std::unique_lock<std::mutex>& lock) {
        using Clock = std::chrono::steady_clock;
        auto waiting_since = Clock::now();
        std::size_t left = 0;  // of those in running_
        while (left > 0 || !tasks_.empty()) {
            std::swap(tasks_, begun_);
            lock.unlock();  // beginning may take a while
            for (const Task& task : begun_) { running_.push_back({begin(task), task.left}); }
            left += begun_.size();
            begun_.clear();
            std::size_t ended = 0;
            for (auto& [request, waiting, has_ended] : running_) {
                if (has_ended) { continue; }
                int done = 0;
                MPI_Test(&request, &done, MPI_STATUS_IGNORE);  // a null one is done, as some are where a rank is alone
                if (done == 0) { continue; }
                has_ended = true;
                ++ended;
                if (waiting != nullptr) {
                    const std::lock_guard guard{mutex_};
                    if (--*waiting == 0) { wake_user_.notify_one(); }
                }
            }
            if (ended > 0) {
                waiting_since = Clock::now();
            } else if (Seconds{Clock::now() - waiting_since}.count() > timeout_) {
                give_up();
            } else {
                std::this_thread::sleep_for(std::chrono::microseconds{20});
            }
            lock.lock();
            left -= ended;
            finished_ += ended;
            if (left == 0) { running_.clear(); }
            if (started_ == finished_) { wake_user_.notify_one(); }
        }
    }

    static MPI_Request begin(const Task& task) {
        MPI_Request request = MPI_REQUEST_NULL;
        void* const data = task.bytes.data();
        const int count = static_cast<int>(task.bytes.size() / element_size(task.kind));
        const auto sum = [&](MPI_Datatype type) {
            MPI_Iallreduce(MPI_IN_PLACE, data, count, type, MPI_SUM, MPI_COMM_WORLD, &request);
        };
        switch (task.kind) {
            case Kind::sum_floats: sum(MPI_FLOAT); break;
            case Kind::sum_doubles: sum(MPI_DOUBLE); break;
            case Kind::broadcast: MPI_Ibcast(data, count, MPI_BYTE, task.root, MPI_COMM_WORLD, &request); break;
            case Kind::barrier: MPI_Ibarrier(MPI_COMM_WORLD, &request); break;
            case Kind::abort: MPI_Abort(MPI_COMM_WORLD, task.root); std::abort();
        }
        return request;
    }

    [[noreturn]] void give_up() const {
        std::fprintf(stderr, "rank %d of %d: the other ranks have not answered for %.0f s; ending all\n", rank_, size_,
                     timeout_.load());
        MPI_Abort(MPI_COMM_WORLD, 1);
        std::abort();
    }

    std::atomic<double> timeout_;  // seconds
    std::vector<double> few_;      // of a number for every rank
    int rank_ = 0, size_ = 0, local_size_ = 1;

    std::mutex mutex_;  // guards what follows
    std::condition_variable wake_user_, wake_worker_;
    std::vector<Task> tasks_;  // asked for and not yet begun
    std::size_t started_ = 0, finished_ = 0;
    bool stop_ = false;

    std::vector<Task> begun_;  // these are the thread's own
    std::vector<Running> running_;
    std::thread thread_;
};
static_assert(Communicator<MpiCommunicator>);

}  // namespace ctnn::inline CTNN_ISA::distributed
