#include "tensorboard.hpp"

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <span>
#include <type_traits>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include <ctnn/io/file.hpp>

#include "images.hpp"

namespace alexnet {

namespace {

// ---- Protobuf's wire format: a field is its number and type, then the value; a message is its fields in any order.

template <class Number>
void put_bytes_of(std::string& out, Number value) {
    static_assert(std::endian::native == std::endian::little);
    const auto bytes = std::bit_cast<std::array<char, sizeof(Number)>>(value);
    out.append(bytes.data(), bytes.size());
}

void put_varint(std::string& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) { out += static_cast<char>(value | 0x80); }
    out += static_cast<char>(value);
}

void put_key(std::string& out, int field, int wire_type) {
    put_varint(out, static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(wire_type));
}

void put_integer(std::string& out, int field, std::int64_t value) {
    put_key(out, field, 0);
    put_varint(out, static_cast<std::uint64_t>(value));
}

/// A double or a float.
template <class Number>
void put_number(std::string& out, int field, Number value) {
    put_key(out, field, sizeof(Number) == 8 ? 1 : 5);
    put_bytes_of(out, value);
}

/// A string, bytes, a message, or packed numbers.
void put_text(std::string& out, int field, std::string_view text) {
    put_key(out, field, 2);
    put_varint(out, text.size());
    out += text;
}

void put_numbers(std::string& out, int field, std::span<const double> values) {
    static_assert(std::endian::native == std::endian::little);
    put_text(out, field, {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

// ---- Records

/// CRC-32C (Castagnoli), as of RFC 3720, B.4.
std::uint32_t crc32c(std::string_view bytes) {
    static constexpr std::array<std::uint32_t, 256> table = [] {
        std::array<std::uint32_t, 256> entries{};
        for (std::uint32_t i = 0; i < 256; ++i) {
            entries[i] = i;
            for (int bit = 0; bit < 8; ++bit) { entries[i] = entries[i] >> 1 ^ (entries[i] & 1 ? 0x82F63B78u : 0u); }
        }
        return entries;
    }();
    std::uint32_t crc = ~0u;
    for (const char c : bytes) { crc = crc >> 8 ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xFF]; }
    return ~crc;
}

/// Masked, because a checksum of data that hold checksums says little.
void put_checksum(std::string& out, std::string_view bytes) {
    put_bytes_of(out, std::rotr(crc32c(bytes), 15) + 0xA282EAD8u);
}

/// Seconds since 1970.
double wall_time() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string event_at(std::int64_t step) {
    std::string event;
    put_number(event, 1, wall_time());
    put_integer(event, 2, step);
    return event;
}

/// google.protobuf.Value, or nothing for what is neither number, string nor truth.
std::string protobuf_value(const ctnn::Json& json) {
    std::string out;
    std::visit(
        [&]<class Value>(const Value& value) {
            if constexpr (std::is_same_v<Value, bool>) {
                put_integer(out, 4, value ? 1 : 0);
            } else if constexpr (std::is_arithmetic_v<Value>) {
                put_number(out, 2, static_cast<double>(value));
            } else if constexpr (std::is_same_v<Value, std::string>) {
                put_text(out, 3, value);
            }
        },
        json.value());
    return out;
}

constexpr std::size_t enough = 64 << 10;  // bytes in the buffer

}  // namespace

void Summary::value(std::string_view tag, int field, std::string_view content, std::string_view metadata) {
    std::string value;
    put_text(value, 1, tag);
    put_text(value, field, content);
    if (!metadata.empty()) { put_text(value, 9, metadata); }
    put_text(bytes_, 1, value);
}

void Summary::scalar(std::string_view tag, double value) {
    std::string out;
    put_text(out, 1, tag);
    put_number(out, 2, static_cast<float>(value));
    put_text(bytes_, 1, out);
}

void Summary::histogram(std::string_view tag, const Histogram& histogram) {
    std::string out;
    put_number(out, 1, histogram.min);
    put_number(out, 2, histogram.max);
    put_number(out, 3, static_cast<double>(histogram.count));
    put_number(out, 4, histogram.sum);
    put_number(out, 5, histogram.sum_squares);
    put_numbers(out, 6, histogram.limits);
    put_numbers(out, 7, histogram.counts);
    value(tag, 5, out);
}

void Summary::image(std::string_view tag, const ctnn::ImageView& image) {
    const std::vector<std::byte> png = encode_png(image);
    std::string out;
    put_integer(out, 1, image.shape.height);
    put_integer(out, 2, image.shape.width);
    put_integer(out, 3, image.shape.channels);  // 1 is grey, 3 is RGB
    put_text(out, 4, {reinterpret_cast<const char*>(png.data()), png.size()});
    value(tag, 4, out);
}

/// A value whose content is in the metadata of a plugin.
void Summary::plugin_data(std::string_view tag, int field, std::string_view message) {
    constexpr std::string_view no_floats{"\x08\x01\x12\x02\x12\x00", 6};  // TensorProto: DT_FLOAT, shape (0)
    std::string content, plugin, metadata;
    put_text(content, field, message);
    put_text(plugin, 1, "hparams");
    put_text(plugin, 2, content);
    put_text(metadata, 1, plugin);
    value(tag, 8, no_floats, metadata);
}

void Summary::session_start(const ctnn::Json::Object& settings) {
    std::string info;
    for (const auto& [key, json] : settings) {
        std::string entry;
        put_text(entry, 1, key);
        put_text(entry, 2, protobuf_value(json));
        put_text(info, 1, entry);
    }
    put_number(info, 5, wall_time());
    plugin_data("_hparams_/session_start_info", 3, info);
}

void Summary::session_end() {
    std::string info;
    put_integer(info, 1, 1);  // STATUS_SUCCESS
    put_number(info, 2, wall_time());
    plugin_data("_hparams_/session_end_info", 4, info);
}

EventFile::EventFile(const std::filesystem::path& folder, std::int64_t step) {
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) != 0) { host = {"localhost"}; }
    const auto seconds = static_cast<std::int64_t>(wall_time());
    for (int n = 0; file_ == nullptr; ++n) {
        path_ = folder / fmt::format("events.out.tfevents.{:010}.{}.{}.{}", seconds, host.data(), ::getpid(), n);
        std::FILE* const file = std::fopen(path_.c_str(), "wbx");
        if (file == nullptr && errno != EEXIST) { throw ctnn::detail::file_error(path_, "create", errno); }
        file_.reset(file);
    }
    std::string first;
    put_number(first, 1, wall_time());
    put_text(first, 3, "brain.Event:2");
    append(first);

    std::string start, event = event_at(step);
    put_integer(start, 1, 1);  // SessionLog: START, from which step on TensorBoard forgets older events
    put_text(event, 7, start);
    append(event);
}

void EventFile::add(std::int64_t step, const Summary& summary) {
    std::string event = event_at(step);
    put_text(event, 5, summary.bytes());
    append(event);
    if (buffer_.size() >= enough) { flush(); }
}

void EventFile::append(std::string_view event) {
    const std::size_t begin = buffer_.size();
    put_bytes_of(buffer_, std::uint64_t{event.size()});
    put_checksum(buffer_, std::string_view{buffer_}.substr(begin));
    buffer_ += event;
    put_checksum(buffer_, event);
}

void EventFile::flush() {
    const std::size_t written = std::fwrite(buffer_.data(), 1, buffer_.size(), file_.get());
    if (written != buffer_.size() || std::fflush(file_.get()) != 0) {
        throw ctnn::detail::file_error(path_, "write", errno);
    }
    buffer_.clear();
}

}  // namespace alexnet
