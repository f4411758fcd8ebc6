// Sequential and Block: a network as a type, and the one constexpr pass that describes and checks it.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>

#include <ctnn/core/layer.hpp>

namespace ctnn::inline CTNN_ISA {

/// The shape of one input sample: Input<channels, height, width>.
template <int Channels, int Height = 1, int Width = 1>
struct Input {};

/// A named run of layers inside a network. Its name prefixes parameter names: Block<"features", …> gives
/// "features.0.weight", as a named nn.Sequential does. Blocks nest; they change nothing else.
template <Literal BlockName, class... Layers>
struct Block {};

namespace detail {

/// A list of types, which unlike std::tuple costs a compiler nothing.
template <class... T>
struct Types {};

template <class... A, class... B>
Types<A..., B...> operator+(Types<A...>, Types<B...>);

template <class L>
struct LayersOf {
    using type = Types<L>;
};
template <Literal BlockName, class... Layers>
struct LayersOf<Block<BlockName, Layers...>> {
    using type = decltype((Types<>{} + ... + typename LayersOf<Layers>::type{}));
};

template <std::size_t I, class List>
struct TypeAt;
template <std::size_t I, class... T>
struct TypeAt<I, Types<T...>> : std::tuple_element<I, std::tuple<T...>> {};

template <class... T>
constexpr std::size_t type_count(Types<T...>) {
    return sizeof...(T);
}

/// The result of the describe pass: a row per layer, keyed as PyTorch's state_dict is, or the first error.
template <std::size_t Count>
struct Description {
    std::array<LayerInfo, Count> layers{};
    std::array<Name, Count> keys{};
    std::size_t size = 0;
    Signal signal{};
    Sentence error{};

    constexpr void fail(const Name& key, std::string_view type, std::string_view sentence) {
        error << "layer " << key.view();
        if (!type.empty()) { error << ", " << type; }
        error << ": " << sentence;
    }

    template <class L>
    constexpr void child(const Name& prefix, int index) {
        if (!error.empty()) { return; }
        Name key = prefix;
        key << index;
        if constexpr (Layer<L>) {
            LayerInfo info = L::describe(signal);
            if (info.error.empty() && info.out.shape.size() < 1) {
                info.error << "its output is empty; give describe(Signal) a shape of at least 1x1x1";
                info.out = signal;
            }
            if (info.error.empty()) { check_names(key, info); }
            if (!info.error.empty()) {
                fail(key, info.type, info.error);
                // Whoever plans the network all the same meets a layer that fits, so that no other error follows.
                info = start_layer(LayerKind::relu, "", signal);
            }
            signal = info.out;
            keys[size] = key;
            layers[size++] = info;
        } else {
            fail(key, "", "this type is not a layer; give it a constexpr describe(Signal) or remove it");
        }
    }

    /// Tensors are found by their names, which must be whole and different.
    constexpr void check_names(const Name& key, LayerInfo& info) const {
        std::size_t longest = info.kind == LayerKind::batch_norm2d ? std::string_view{"num_batches_tracked"}.size() : 0;
        for (int i = 0; i < info.parameter_tensors; ++i) {
            longest = std::max(longest, info.parameters[static_cast<std::size_t>(i)].name.size());
        }
        if (key.length + 1 + longest > Name::capacity) {
            info.error << "names of its tensors have more than " << static_cast<int>(Name::capacity)
                       << " characters; shorten the names of blocks";
        }
        for (std::size_t i = 0; i < size; ++i) {
            if (keys[i] == key.view()) {
                info.error << "another layer has its place in names; give every block a name of its own";
                return;
            }
        }
    }

    template <class... Layers>
    constexpr void children(const Name& prefix) {
        int index = 0;
        (one(std::type_identity<Layers>{}, prefix, index++), ...);
    }

    template <class L>
    constexpr void one(std::type_identity<L>, const Name& prefix, int index) {
        child<L>(prefix, index);
    }
    template <Literal BlockName, class... Layers>
    constexpr void one(std::type_identity<Block<BlockName, Layers...>>, const Name& prefix, int) {
        Name inner = prefix;
        inner << BlockName.view() << ".";
        children<Layers...>(inner);
    }
};

template <class First, class... Layers>
struct Described {
    using types = Types<>;
    static constexpr Description<1> value = [] {
        Description<1> d;
        d.error << "a network begins with its input; write Sequential<Input<channels, height, width>, ...>";
        return d;
    }();
};

template <int C, int H, int W, class... Layers>
struct Described<Input<C, H, W>, Layers...> {
    using types = typename LayersOf<Block<"", Layers...>>::type;
    static constexpr std::size_t count = type_count(types{});
    static constexpr auto value = [] {
        Description<(count > 0 ? count : 1)> d;
        if (C < 1 || H < 1 || W < 1) {
            write_size(d.error << "input " << C << "x", H, W) << " is empty; write sizes of at least 1";
            return d;
        }
        d.signal = {{C, H, W}, false, {}};
        bool computes = false;
        d.template children<Layers...>(Name{});
        for (std::size_t i = 0; i < d.size; ++i) { computes = computes || d.layers[i].kind != LayerKind::flatten; }
        if (d.error.empty() && !computes) {
            d.error
                << "a network without layers computes nothing; add one behind Input, for example Flatten, Linear<10>";
        }
        return d;
    }();
};

/// What `verdict` asks for the sentence.
template <class First, class... Layers>
struct NetworkError {
    static constexpr std::string_view error() { return Described<First, Layers...>::value.error.view(); }
};

}  // namespace detail

/// A network: its input and its layers. Name it by deriving a struct, so that errors and symbols stay short:
///
///     struct Net : Sequential<Input<3, 32, 32>, Conv2d<32, Kernel<5>>, ReLU, Flatten, Linear<10>> {};
///
/// A network that does not close is exactly one compile error that names the layer, the sizes it met and the cure.
/// The constants below hold without an instance; a network has no data: see Model.
template <class First, class... Layers>
struct Sequential {
    // Both compilers print the name of the incomplete type, which is the sentence. Nothing else may mention a wrong
    // network's description, so that this stays the only error.
    static_assert(sizeof(decltype(verdict<detail::NetworkError<First, Layers...>>(
                      pieces_of<detail::NetworkError<First, Layers...>>{}))) > 0);

    using sequential_type = Sequential;
    using layer_types = typename detail::Described<First, Layers...>::types;

    /// The layers as they come, blocks flattened.
    static constexpr const auto& description = detail::Described<First, Layers...>::value;
    static constexpr std::size_t layer_count = description.size;

    static constexpr Shape input_shape = description.layers[0].in.shape;
    static constexpr Shape output_shape = description.signal.shape;
    static constexpr int classes = output_shape.channels;

    /// Number of trainable parameters, padding not counted.
    static constexpr std::int64_t parameter_count = [] {
        std::int64_t n = 0;
        for (std::size_t i = 0; i < layer_count; ++i) { n += description.layers[i].parameter_count(); }
        return n;
    }();

    /// Multiply-adds of one forward pass of one sample that meet real input, not padding.
    static constexpr std::int64_t multiply_adds = [] {
        std::int64_t n = 0;
        for (std::size_t i = 0; i < layer_count; ++i) { n += description.layers[i].multiply_adds; }
        return n;
    }();

    /// Output shape of layer `i`.
    static constexpr Shape shape_after(std::size_t i) { return description.layers[i].out.shape; }
};

/// A type that derives from a Sequential.
template <class Net>
concept Network = requires { typename Net::sequential_type; } && std::derived_from<Net, typename Net::sequential_type>;

namespace detail {

/// A layer of a network: its type and its description.
template <class Net, std::size_t I>
struct LayerAt {
    using type = typename TypeAt<I, typename Net::layer_types>::type;
    static constexpr const LayerInfo& info = Net::description.layers[I];
    static constexpr std::string_view key = Net::description.keys[I];
};

}  // namespace detail

}  // namespace ctnn::inline CTNN_ISA
