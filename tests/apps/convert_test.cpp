// perch convert: there and back, and what it refuses.
#include <filesystem>

#include <catch2/catch.hpp>
#include <tests/apps/command_line.h>
#include <tests/io/edit_h5.h>

using namespace perch::test;
namespace fs = std::filesystem;

TEST_CASE("a model goes into safetensors and back, and every command reads both") {
  const TestFolder folder;
  const std::string data = write_data(folder), save = folder / "models";
  const std::string model =
      result({"train", "depthwise_net", "--data", data, "--save", save, "--per-channel",
              "--quantizer", "lsq", "--weight-bits", "4", "--input-scale", "raw", "--no-run-dir"})
          .at("model");
  const std::string other = folder / "m.safetensors", back = folder / "back.h5";
  const Json done = result({"convert", model, other, "--verify"});
  CHECK(done.at("verified") == true);
  CHECK(done.at("bytes") == fs::file_size(other));
  const ProcessResult told = run_perch({"convert", other, back, "--verify"});
  CHECK(told.exit_code == 0);
  CHECK_THAT(told.err, Catch::Contains("back.h5") && Catch::Contains("TensorFlow cannot") &&
                           Catch::Contains("lsq"));
  CHECK(read_file(back) == read_file(model));
  const auto evaluated = [&](const std::string& file) {
    return result({"evaluate", file, "--data", data}).at("loss");
  };
  CHECK(evaluated(other) == evaluated(model));
  CHECK(result({"inspect", other}).at("layers") == result({"inspect", model}).at("layers"));

  check_error(run_perch({"convert", model, folder / "m.onnx"}), 2, {"m.onnx", ".safetensors"});
  check_error(run_perch({"convert", folder / "none.h5", other}), 66, {"none.h5"});
  std::string bytes = read_file(other);
  bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 1);
  write_file(fs::path(other), bytes);
  check_error(run_perch({"convert", other, back}), 65, {"m.safetensors", "damaged"});
  CHECK(read_file(back) == read_file(model));
}

TEST_CASE("weights alone go into the model that --into names") {
  const TestFolder folder;
  const std::string data = write_data(folder);
  const auto train = [&](const std::string& quantizer) -> std::string {
    return result({"train", "temp_net", "--data", data, "--save", folder / "models", "--epochs",
                   "0", "--quantizer", quantizer, "--no-run-dir"})
        .at("model");
  };
  const auto weights_of = [&](const std::string& model, const std::string& name) {
    const std::string file = folder / name;
    fs::copy_file(model, file);
    remove_attribute(file, "perch_config");
    remove_attribute(file, "model_config");
    return file;
  };
  const std::string model = train("none"), weights = weights_of(model, "w.h5");
  const std::string out = folder / "out.safetensors", expected = folder / "expected.safetensors";
  result({"convert", model, expected});
  for (const std::string& into : {std::string("temp_net"), model}) {
    result({"convert", weights, out, "--into", into, "--verify"});
    CHECK(read_file(out) == read_file(expected));
  }
  check_error(run_perch({"convert", weights, out}), 65, {"w.h5", "--into"});
  check_error(run_perch({"convert", weights, out, "--into", "ds_net"}), 65, {"w.h5", "conv2d"});
  check_error(run_perch({"convert", weights, out, "--into", "temp_nett"}), 2, {"temp_net"});
  check_error(run_perch({"convert", weights, out, "--into", "temp_net", "--per-tensor"}), 2,
              {"--per-tensor"});

  const std::string quantized = train("all_values");
  const std::string ranges = weights_of(quantized, "q.h5");
  check_error(run_perch({"convert", ranges, out, "--into", "temp_net"}), 2, {"q.h5", "quantized"});
  result({"convert", quantized, expected});
  result({"convert", ranges, out, "--into", quantized});
  CHECK(read_file(out) == read_file(expected));
}
