// JSON: what is read, what is written, and every refusal with its message.
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/io/json_parser.hpp>
#endif

#include "refusal.hpp"

namespace {

using namespace ctnn;
using namespace std::string_literals;

/// The message of the FileError that parsing throws, behind "t: "; empty where nothing is thrown.
std::string refusal(std::string_view text) {
    return refusal_of("t: ", [&] { parse_json(text, "t"); });
}

std::string unquoted(std::string_view text) { return parse_json(text, "t").get<std::string>("t"); }

}  // namespace

TEST_CASE("JSON: values of every kind are read", "[io][json]") {
    const Json j = parse_json(
        " {\"b\": [true, false, null], \"a\": {\"x\": -1.5e3, \"y\": 7, \"z\": -7}, \"\": \"s\", \"e\": [ ], "
        "\"o\":{}}\r\n\t ",
        "t");
    CHECK(j == Json{Json::Object{{"b", Json::Array{true, false, Json{}}},
                                 {"a", Json::Object{{"x", -1500.0}, {"y", 7}, {"z", -7}}},
                                 {"", "s"},
                                 {"e", Json::Array{}},
                                 {"o", Json::Object{}}}});
    CHECK(j.find("a")->find("x")->get<double>("t") == -1500.0);
    CHECK(j.find("missing") == nullptr);
    CHECK(j.find("b")->find("x") == nullptr);
    CHECK_FALSE(j == Json{Json::Object{}});
}

TEST_CASE("JSON: integers are exact over all 64 bits and stay apart from reals", "[io][json]") {
    CHECK(parse_json("18446744073709551615", "t").get<std::uint64_t>("t") == std::numeric_limits<std::uint64_t>::max());
    CHECK(parse_json("-9223372036854775808", "t").get<std::int64_t>("t") == std::numeric_limits<std::int64_t>::min());
    CHECK(parse_json("9007199254740993", "t").get<std::int64_t>("t") == 9007199254740993);  // 2^53 + 1
    CHECK(parse_json("-0", "t") == Json{0});
    CHECK_FALSE(parse_json("1.0", "t") == Json{1});
    CHECK(parse_json("3", "t").get<float>("t") == 3.0f);
    CHECK(refusal("18446744073709551616") == "offset 0: found an integer of 20 characters, expected one of 64 bits");
    CHECK(refusal("[-9223372036854775809]") == "offset 1: found an integer of 20 characters, expected one of 64 bits");
    CHECK(refusal("1e999") == "offset 0: found a number outside the range of a double, expected one inside");
}

TEST_CASE("JSON: strings are unescaped to UTF-8", "[io][json]") {
    CHECK(unquoted(R"("\"\\\/\b\f\n\r\t")") == "\"\\/\b\f\n\r\t");
    CHECK(unquoted(R"("\u0041\u00e9\u20AC\uD83D\ude00")") == "A\u00e9\u20ac\U0001f600");
    CHECK(unquoted("\"\u00e9\u20ac\U0001f600\"") == "\u00e9\u20ac\U0001f600");
    CHECK(unquoted(R"("\u0000")") == "\0"s);
    CHECK(refusal(R"("\ud83d")") == "offset 3: found half a surrogate pair, expected a whole one");
    CHECK(refusal(R"("\ud83d\u0041")") == "offset 3: found half a surrogate pair, expected a whole one");
    CHECK(refusal(R"("\ude00")") == "offset 3: found half a surrogate pair, expected a whole one");
    CHECK(refusal(R"("\u00g0")") == "offset 5: found 'g', expected a hexadecimal digit");
    CHECK(refusal(R"("\x")") == "offset 2: found 'x', expected one of \" \\ / b f n r t u");
    CHECK(refusal("\"a\nb\"") == "offset 2: found the byte 10, expected no control character in a string");
    CHECK(refusal("\"a") == "offset 2: found the end, expected a closing quote");
    CHECK(refusal("\"a\\") == "offset 3: found the end, expected one of \" \\ / b f n r t u");
}

TEST_CASE("JSON: text that is not UTF-8 is refused", "[io][json]") {
    const auto bad = GENERATE(as<std::string>{}, "\x80", "\xC3", "\xC0\xAF", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
                              "\xE2\x82", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF");
    const std::string message = refusal("\"" + bad + "\"");
    CHECK(message ==
          "offset 1: found the byte " + std::to_string(static_cast<unsigned char>(bad[0])) + ", expected UTF-8");
    CHECK_THROWS_AS(write_json(Json{bad}), ArgumentError);
}

TEST_CASE("JSON: text outside the grammar is refused where it leaves it", "[io][json]") {
    struct Case {
        const char *text, *message;
    };
    const auto [text, message] = GENERATE(values<Case>({
        {"", "offset 0: found the end, expected a value"},
        {"  ", "offset 2: found the end, expected a value"},
        {"nul", "offset 0: found 'n', expected a value"},
        {"True", "offset 0: found 'T', expected a value"},
        {"NaN", "offset 0: found 'N', expected a value"},
        {"'a'", "offset 0: found ''', expected a value"},
        {"\v1", "offset 0: found the byte 11, expected a value"},
        {"1 2", "offset 2: found '2', expected nothing more"},
        {"01", "offset 1: found '1', expected nothing more"},
        {"+1", "offset 0: found '+', expected a value"},
        {"-", "offset 1: found the end, expected a digit"},
        {"-a", "offset 1: found 'a', expected a digit"},
        {".5", "offset 0: found '.', expected a value"},
        {"1.", "offset 2: found the end, expected a digit"},
        {"1e+", "offset 3: found the end, expected a digit"},
        {"[1,]", "offset 3: found ']', expected a value"},
        {"[1 2]", "offset 3: found '2', expected ',' or ']'"},
        {"[1", "offset 2: found the end, expected ',' or ']'"},
        {"{1:2}", "offset 1: found '1', expected a key in quotes"},
        {"{\"a\" 1}", "offset 5: found '1', expected ':'"},
        {"{\"a\":1,}", "offset 7: found '}', expected a key in quotes"},
        {"{\"a\":1]", "offset 6: found ']', expected ',' or '}'"},
        {"[1] // comment", "offset 4: found '/', expected nothing more"},
    }));
    CAPTURE(text);
    CHECK(refusal(text) == message);
    CHECK(refusal("\0"s) == "offset 0: found the byte 0, expected a value");
}

TEST_CASE("JSON: a key may stand once in an object, however it is spelt", "[io][json]") {
    CHECK(refusal(R"({"a":1,"b":2,"a":3})") == "offset 13: found the key \"a\" again, expected each key once");
    CHECK(refusal(R"({"a":1,"\u0061":2})") == "offset 7: found the key \"a\" again, expected each key once");
    CHECK(refusal(R"({"a":{"a":1},"b":{"a":1}})").empty());
    CHECK_THROWS_WITH(write_json(Json::Object{{"a", 1}, {"a", 1}}),
                      "JSON object: found the key \"a\" twice, expected it once");
}

TEST_CASE("JSON: nesting is limited in both directions", "[io][json]") {
    const auto nested = [](int levels) {
        const auto n = static_cast<std::size_t>(levels);
        return std::string(n, '[') + std::string(n, ']');
    };
    CHECK(write_json(parse_json(nested(json_depth_limit), "t")) == nested(json_depth_limit));
    CHECK(refusal(nested(json_depth_limit + 1)) == "offset 64: found one level more, expected at most 64");
    CHECK(refusal(std::string(1'000'000, '[')) == "offset 64: found one level more, expected at most 64");
    CHECK_THROWS_AS(write_json(Json::Array{parse_json(nested(json_depth_limit), "t")}), ArgumentError);
}

TEST_CASE("JSON: what is written reads back equal", "[io][json]") {
    const Json j = Json::Object{
        {"text", "\"\\\n\x01 \u00e9\x7F"},
        {"numbers", Json::Array{0, -1, std::numeric_limits<std::uint64_t>::max(),
                                std::numeric_limits<std::int64_t>::min(), 0.1, 1.0, -0.0, 1e300, 5e-324, 1.0 / 3}},
        {"rest", Json::Array{true, false, Json{}, Json::Array{}, Json::Object{}}}};
    CHECK(write_json(j) ==
          R"({"text":"\"\\\u000a\u0001 )"
          "\u00e9"
          R"(\u007f","numbers":[0,-1,18446744073709551615,-9223372036854775808,0.1,1.0,-0.0,1e+300,5e-324,)"
          R"(0.3333333333333333],"rest":[true,false,null,[],{}]})");
    CHECK(parse_json(write_json(j), "t") == j);
    CHECK(parse_json(write_json(j, 2), "t") == j);
    CHECK(write_json(Json::Object{{"a", Json::Array{1, 2}}, {"b", Json::Array{}}}, 2) ==
          "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": []\n}");
    CHECK_THROWS_AS(write_json(std::numeric_limits<double>::infinity()), ArgumentError);
    CHECK_THROWS_AS(write_json(std::numeric_limits<double>::quiet_NaN()), ArgumentError);
}

TEST_CASE("JSON: typed access names the place, what is there and what should be", "[io][json]") {
    const Json j = parse_json(R"({"epoch": 300, "rate": "fast", "seed": -1})", "t");
    CHECK(j.field<int>("epoch", "s.json") == 300);
    CHECK(j.field<std::string>("rate", "s.json") == "fast");
    CHECK_THROWS_WITH(j.field<std::uint8_t>("epoch", "s.json"),
                      "s.json: key \"epoch\": found the number 300, expected an integer from 0 to 255");
    CHECK_THROWS_WITH(j.field<std::uint64_t>("seed", "s.json"),
                      "s.json: key \"seed\": found the number -1, expected an integer from 0 to 18446744073709551615");
    CHECK_THROWS_WITH(j.field<double>("rate", "s.json"),
                      "s.json: key \"rate\": found the string \"fast\", expected a number");
    CHECK_THROWS_WITH(j.field<bool>("rate", "s.json"),
                      "s.json: key \"rate\": found the string \"fast\", expected true or false");
    CHECK_THROWS_WITH(j.field<int>("step", "s.json"),
                      "s.json: key \"step\": found nothing, expected the key and a value");
    CHECK_THROWS_WITH(Json{Json::Array{}}.field<int>("step", "s.json"), "s.json: found an array, expected an object");
    CHECK_THROWS_WITH(Json{1.5}.get<int>("s.json"),
                      Catch::Contains("found the number 1.5,") && Catch::Contains("expected an integer from"));
    CHECK_THROWS_AS(Json{true}.get<int>("s.json"), FileError);
    CHECK_THROWS_AS(Json{1}.get<bool>("s.json"), FileError);
    CHECK_THROWS_WITH(Json{std::string(200, '\n')}.get<bool>("s.json"), Catch::Contains("\\u000a\"..., expected"));
}
