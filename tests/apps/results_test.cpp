// What evaluate, inspect, predict, doctor and data report.
#include <algorithm>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <tests/apps/command_line.h>

using namespace perch::test;

TEST_CASE("inspect reports layers, variables and quantizers by the documented keys") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 0);
  const std::string model =
      result({"train", "ds_net", "--data", data, "--save", folder / "models"}).at("model");
  const Json report = result({"inspect", model});
  CHECK(keys(report) == Arguments{"event", "layers"});

  std::size_t per_channel = 0, per_tensor = 0, long_variables = 0;
  for (const auto& layer : report.at("layers")) {
    CHECK(keys(layer) ==
          Arguments{"name", "kind", "output_shape", "parameters", "variables", "quantizers"});
    for (const auto& variable : layer.at("variables")) {
      std::size_t size = 1;
      for (const auto& extent : variable.at("shape")) size *= extent.get<std::size_t>();
      CHECK(variable.contains("values") == (size <= 1024));
      if (size <= 1024) CHECK(variable.at("values").size() == size);
      if (size > 1024) ++long_variables;
      CHECK(variable.at("min") <= variable.at("max"));
    }
    for (const auto& quantizer : layer.at("quantizers")) {
      CHECK(keys(quantizer) == Arguments{"variable", "bits", "axes", "symmetric", "narrow_range",
                                         "policy", "scale", "zero_point"});
      const bool arrays = !quantizer.at("axes").empty();
      CHECK(quantizer.at("scale").is_array() == arrays);
      CHECK(quantizer.at("zero_point").is_array() == arrays);
      if (quantizer.at("variable") == "depthwise_kernel") {
        CHECK(quantizer.at("scale").size() == 16);
      }
      ++(arrays ? per_channel : per_tensor);
    }
  }
  CHECK(per_channel == 3);  // the kernels of two Conv2D and one DepthwiseConv2D
  CHECK(per_tensor >= 4);   // their activations and the input
  CHECK(long_variables == 1);

  const auto text = run_perch({"inspect", model});
  CHECK(text.exit_code == 0);
  CHECK_THAT(text.out, Catch::Contains("kernel_min"));
}

TEST_CASE("predict reports each image and the count") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 20);
  const std::string model =
      result({"train", "ds_net", "--data", data, "--save", folder / "models"}).at("model");
  const auto lines = events({"predict", model, "--data", data, "--limit", "5"});
  REQUIRE(lines.size() == 6);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(keys(lines[i]) ==
          Arguments{"event", "index", "label", "class", "class_name", "probability", "outputs"});
    CHECK(lines[i].at("event") == "prediction");
    CHECK(lines[i].at("index") == i);
    CHECK(lines[i].at("label") == i);
    const auto outputs = lines[i].at("outputs").get<std::vector<double>>();
    REQUIRE(outputs.size() == 10);
    const auto best = lines[i].at("class").get<std::size_t>();
    CHECK(*std::max_element(outputs.begin(), outputs.end()) == outputs.at(best));
    CHECK(lines[i].at("probability") == outputs.at(best));
  }
  CHECK(lines[5] == Json{{"event", "result"}, {"count", 5}});
  const Arguments names = {"airplane", "automobile", "bird",  "cat",  "deer",
                           "dog",      "frog",       "horse", "ship", "truck"};
  CHECK(lines[0].at("class_name") == names.at(lines[0].at("class").get<std::size_t>()));

  const auto text = run_perch({"predict", model, "--data", data});
  CHECK(std::count(text.out.begin(), text.out.end(), '\n') == 20);
  check_error(run_perch({"predict", model, "--data", data, "--limit", "0"}), 2, {"--limit"});
}

TEST_CASE("doctor reports what perch runs on, and what to do without data") {
  const Json report = result({"doctor"});
  CHECK(keys(report) == Arguments{"event", "version", "compiler", "cpu", "instruction_sets",
                                  "instruction_set", "threads", "blas", "blas_core",
                                  "blas_core_chosen_by", "blas_gflops", "hdf5", "tbb", "xsimd",
                                  "xtensor", "data"});
  CHECK(report.at("instruction_sets").back().is_string());
  CHECK(report.at("blas_gflops") > 0.0);
  CHECK_THAT(report.at("data").get<std::string>(), Catch::Contains("perch data fetch cifar10"));
  const auto forced = run_perch({"doctor"}, {.environment = {{"PERCH_FORCE_ARCH", "nonsense"}}});
  check_error(forced, 2, {"nonsense", "PERCH_FORCE_ARCH"});
}

#if defined(__x86_64__)
TEST_CASE("the user's choice of OpenBLAS's kernels stands, and doctor says whose choice it is") {
  const ProcessOptions options = {.environment = {{"OPENBLAS_CORETYPE", "nehalem"}}};
  const Json report = Json::parse(run_perch({"doctor", "--json"}, options).out);
  CHECK(report.at("blas_core") == "Nehalem");
  CHECK(report.at("blas_core_chosen_by") == "user");
  CHECK_THAT(run_perch({"doctor"}, options).out,
             Catch::Contains("Nehalem kernels, as OPENBLAS_CORETYPE says"));
}
#endif

TEST_CASE("files of the original script are read with train's quantizer flags") {
  const std::string files = source_folder() + "/tests/golden/keras_files/";
  const std::string depthwise = files + "depthwise_net_LV_perch.h5";
  check_error(run_perch({"inspect", depthwise}), 65, {"ConvQuantizer", "--quantizer"});
  const Json report = result({"inspect", depthwise, "--quantizer", "last_value", "--weight-bits",
                              "4", "--observe-only-depthwise"});
  std::size_t four_bits = 0;
  for (const auto& layer : report.at("layers")) {
    for (const auto& quantizer : layer.at("quantizers")) four_bits += quantizer.at("bits") == 4;
  }
  CHECK(four_bits == 2);
  result({"inspect", files + "temp_net_float.h5"});
  check_error(run_perch({"inspect", files + "temp_net_float.h5", "--per-tensor"}), 2,
              {"--per-tensor", "leave it out"});
}

TEST_CASE("data verify wants the official files") {
  const TestFolder folder;
  const std::string data = write_data(folder);
  check_error(run_perch({"data", "verify", data}), 65, {"data_batch_1.bin", "30730000"});
  check_error(run_perch({"data", "verify", folder / "none"}), 66, {"none"});
}

TEST_CASE("data fetch refuses what is not https before it touches anything") {
  const TestFolder folder;
  check_error(run_perch({"data", "fetch", "cifar10", "--to", folder / "to", "--mirror",
                         "http://example.org/cifar-10-binary.tar.gz"}),
              2, {"https"});
  check_error(run_perch({"data", "fetch", "cifar100"}), 2, {"cifar100", "nearest: cifar10"});
  CHECK(folder.content().empty());
}

TEST_CASE("data fetch without a network names every mirror and the three ways on") {
  const TestFolder folder;
  check_error(run_perch({"data", "fetch", "cifar10", "--to", folder / "to", "--mirror",
                         "http://127.0.0.1:1/", "--mirror", "http://127.0.0.1:2/"}),
              74, {"127.0.0.1:1", "127.0.0.1:2", "--data DIR", "cifar10_mini", "--mirror URL"});
}

TEST_CASE("every command has help with an example, and there is a version") {
  const std::vector<Arguments> commands = {{},          {"train"},         {"evaluate"},
                                           {"inspect"}, {"predict"},       {"doctor"},
                                           {"data"},    {"data", "fetch"}, {"data", "verify"}};
  for (auto command : commands) {
    command.push_back("--help");
    const auto help = run_perch(command);
    CHECK(help.exit_code == 0);
    CHECK(help.err.empty());
    CHECK_THAT(help.out, Catch::Contains("Example:\n  perch "));
  }
  const auto version = run_perch({"--version"});
  CHECK(version.exit_code == 0);
  CHECK_THAT(version.out, Catch::StartsWith("perch "));
}
