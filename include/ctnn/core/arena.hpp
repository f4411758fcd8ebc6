// One aligned heap block. Everything large in ctnn lives in one of these: nothing large is ever on the stack.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include <ctnn/core/config.hpp>

namespace ctnn::inline CTNN_ISA {

/// Alignment of every block and of every tensor inside one: a cache line, and the widest vector.
inline constexpr std::size_t block_alignment = 64;

constexpr std::size_t round_up(std::size_t n, std::size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// An owning, zero-initialised, 64-byte aligned array of trivial elements whose size is fixed at construction.
/// Movable and copyable: a copy is deep, and copying to one of the same size allocates nothing. Throws std::bad_alloc.
template <class T>
class AlignedArray {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    AlignedArray() = default;
    explicit AlignedArray(std::size_t size) : data_{allocate(size)}, size_{size} {
        std::fill_n(data_.get(), size, T{});
    }
    AlignedArray(const AlignedArray& other) : data_{allocate(other.size_)}, size_{other.size_} {
        std::copy_n(other.data(), size_, data());
    }
    AlignedArray(AlignedArray&& other) noexcept : data_{std::move(other.data_)}, size_{std::exchange(other.size_, 0)} {}
    AlignedArray& operator=(const AlignedArray& other) {
        if (size_ != other.size_) { return *this = AlignedArray{other}; }
        std::copy_n(other.data(), size_, data());
        return *this;
    }
    AlignedArray& operator=(AlignedArray&& other) noexcept {
        data_ = std::move(other.data_);
        size_ = std::exchange(other.size_, 0);
        return *this;
    }
    ~AlignedArray() = default;

    [[nodiscard]] T* data() { return data_.get(); }
    [[nodiscard]] const T* data() const { return data_.get(); }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] T* begin() { return data(); }
    [[nodiscard]] T* end() { return data() + size_; }
    [[nodiscard]] const T* begin() const { return data(); }
    [[nodiscard]] const T* end() const { return data() + size_; }
    T& operator[](std::size_t i) { return data()[i]; }
    const T& operator[](std::size_t i) const { return data()[i]; }
    [[nodiscard]] std::span<T> span() { return {data(), size_}; }
    [[nodiscard]] std::span<const T> span() const { return {data(), size_}; }

  private:
    struct Release {
        void operator()(T* p) const { ::operator delete[](p, std::align_val_t{block_alignment}); }
    };
    static T* allocate(std::size_t size) {
        if (size == 0) { return nullptr; }
        return static_cast<T*>(
            ::operator new[](round_up(size * sizeof(T), block_alignment), std::align_val_t{block_alignment}));
    }

    std::unique_ptr<T[], Release> data_;
    std::size_t size_ = 0;
};

}  // namespace ctnn::inline CTNN_ISA
