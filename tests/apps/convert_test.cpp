// perch convert: there and back, and what it refuses.
#include <filesystem>

#include <catch2/catch.hpp>
#include <tests/apps/command_line.h>

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
  result({"convert", other, back, "--verify"});
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
