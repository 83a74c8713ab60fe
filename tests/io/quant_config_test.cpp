// Quantization rules from TOML: what they mean and what is said about mistakes.
#include <fstream>

#include <catch2/catch.hpp>
#include <tests/support/errors.h>
#include <tests/support/temp_folder.h>

#include <perch/io/quant_config.h>

using namespace perch;
using namespace perch::test;
using Catch::Contains;

namespace {

class Files {
 public:
  QuantRules read(const std::string& text) const { return io::read_quant_config(write(text)); }
  std::string refused(const std::string& text) const {
    const auto file = write(text);
    return error_of(ErrorCode::bad_data, [&] { io::read_quant_config(file); });
  }

 private:
  std::filesystem::path write(const std::string& text) const {
    const auto file = folder_ / "rules.toml";
    std::ofstream(file) << text;
    return file;
  }
  TempFolder folder_;
};

}  // namespace

TEST_CASE("a file's rules are what it says") {
  const QuantRules rules = Files().read(R"(
scheme = "n_bit"
weight_bits = 4
fold = "running"
bias = "int32"
input = { quantizer = "percentile", percent = 99.9 }

[[rule]]
layers = ["conv2d*", "dense"]
kinds = "Conv2D"
weights = { quantizer = "lsq", bits = 3, granularity = "axes", axes = [0, 3] }
fold = "batch"
bias = "int32"
activations = { bits = 6, decay = 0.9, start = "first_batch" }
outputs = { quantizer = "ternary", granularity = "tensor" }

[[rule]]
place = "last"
float = true
)");
  REQUIRE(rules.scheme);
  CHECK(rules.scheme->weight_bits == 4);
  CHECK(rules.scheme->activation_bits == 8);
  CHECK(rules.input == QuantSpec{.range = Percentile{.percent = 99.9f, .decay = 0.99f}});
  REQUIRE(rules.rules.size() == 2);
  const LayerRule& first = rules.rules[0];
  CHECK(first.filter.names == std::vector<std::string>{"conv2d*", "dense"});
  CHECK(first.filter.kinds == std::vector<std::string>{"Conv2D"});
  CHECK_THAT(first.origin, Contains("rule 1, line 8 of"));
  REQUIRE(first.config);
  CHECK(first.config->weights.at("kernel") ==
        QuantSpec{.bits = 3, .granularity = per_axes({0, 3}), .range = Lsq{}});
  CHECK(first.config->activation ==
        QuantSpec{.bits = 6,
                  .range = MovingAverage{.decay = 0.9f, .start = AverageStart::first_batch}});
  CHECK(first.config->output == QuantSpec{.bits = 2, .range = Ternary{}});
  CHECK(rules.fold == FoldStatistics::running);
  CHECK(rules.integer_biases);
  CHECK(first.config->integer_bias);
  CHECK_FALSE(Files().read("").integer_biases);
  CHECK(first.config->fold == FoldStatistics::batch);
  CHECK(rules.rules[1].filter.place == LayerFilter::Place::last);
  CHECK_FALSE(rules.rules[1].config);

  const QuantRules plain = Files().read("input = false\noutput_quantizers = false\n");
  CHECK_FALSE(plain.scheme);
  CHECK_FALSE(plain.input);
  CHECK_FALSE(plain.output_quantizers);
}

TEST_CASE("mistakes in a rules file are named with line, key and the nearest one") {
  const Files files;
  CHECK_THAT(files.refused("[[rule]\n"), Contains("rules.toml, line 1"));
  CHECK_THAT(files.refused("schema = \"n_bit\"\n"),
             Contains("line 1: unknown key \"schema\"") && Contains("nearest: scheme"));
  CHECK_THAT(files.refused("\nscheme = \"default8bit\"\n"),
             Contains("line 2") && Contains("nearest: default_8bit"));
  CHECK_THAT(files.refused("weight_bits = 4\n"), Contains("belongs to n_bit"));
  CHECK_THAT(files.refused("[[rule]]\nlayer = \"a\"\n"), Contains("nearest: layers"));
  CHECK_THAT(files.refused("[[rule]]\nlayers = 3\n"), Contains("a text or a list of texts"));
  CHECK_THAT(files.refused("[[rule]]\nlayers = \"a\"\n"), Contains("the rule says nothing"));
  CHECK_THAT(files.refused("[[rule]]\nfloat = true\n"), Contains("needs layers, kinds or place"));
  CHECK_THAT(files.refused("[[rule]]\nlayers = \"a\"\n\nweights = { quantizer = \"lsqq\" }\n"),
             Contains("line 4") && Contains("nearest: lsq"));
  CHECK_THAT(files.refused("[[rule]]\nlayers = \"a\"\nweights = { bit = 4 }\n"),
             Contains("line 3: unknown key \"bit\"") && Contains("nearest: bits"));
  CHECK_THAT(files.refused("[[rule]]\nlayers = \"a\"\nweights = { bits = \"four\" }\n"),
             Contains("line 3") && Contains("whole number"));
  CHECK_THAT(files.refused("[[rule]]\nlayers = \"a\"\nweights = { bits = 17 }\n"),
             Contains("line 3") && Contains("17 bits"));
  CHECK_THAT(files.refused("[[rule]]\nlayers = \"a\"\nweights = { quantizer = \"lsq\", decay = 0.5 "
                           "}\n"),
             Contains("unknown key \"decay\""));
  CHECK_THAT(files.refused("fold = \"runing\"\n"),
             Contains("line 1") && Contains("nearest: running"));
  CHECK_THAT(files.refused("[[rule]]\nlayers = \"a\"\nfold = \"batch\"\noutputs = {}\n"),
             Contains("line 3") && Contains("give weights too"));
  CHECK_THAT(files.refused("bias = \"int16\"\n"), Contains("line 1") && Contains("int32"));
  CHECK_THAT(files.refused("[[rule]]\nlayers = \"a\"\nbias = \"int32\"\noutputs = {}\n"),
             Contains("line 3") && Contains("give weights too"));
  CHECK_THAT(error_of(ErrorCode::missing_input, [] { io::read_quant_config("no/such.toml"); }),
             Contains("no/such.toml"));
}
