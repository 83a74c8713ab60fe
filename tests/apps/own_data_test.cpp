// People's own images, as pairs of .npy files.
#include <cstring>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <tests/apps/command_line.h>

using namespace perch::test;

namespace {

void write_npy(const std::string& file, const std::string& type, const std::string& shape,
               const std::vector<std::uint8_t>& data) {
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, shape);
  header.resize(118 - 1, ' ');  // 10 bytes before it and this make a multiple of 64
  header += '\n';
  const std::string preamble("\x93NUMPY\x01\x00\x76\x00", 10);
  const std::string text = preamble + header;
  std::vector<std::uint8_t> bytes(text.begin(), text.end());
  bytes.insert(bytes.end(), data.begin(), data.end());
  write_file(file, bytes);
}

/// Ten images [12, 8, 3] and labels, the largest of them `top`.
void write_pair(const TestFolder& folder, const std::string& name, const std::string& type,
                std::uint8_t top = 9) {
  const std::size_t bytes = type == "|u1" ? 1 : sizeof(float);
  std::vector<std::uint8_t> images(10 * 12 * 8 * 3 * bytes), labels;
  for (std::size_t i = 0; i < images.size() / bytes; ++i) {
    const float value = static_cast<float>(i % 97) / 97.0f;
    if (bytes == 1) images[i] = static_cast<std::uint8_t>(255.0f * value);
    if (bytes == 4) std::memcpy(&images[4 * i], &value, 4);
  }
  for (std::uint8_t i = 0; i < 10; ++i) labels.push_back(i == 9 ? top : i);
  write_npy(folder / (name + "_images.npy"), type, "10, 12, 8, 3", images);
  write_npy(folder / (name + "_labels.npy"), "|u1", "10,", labels);
}

}  // namespace

TEST_CASE("a pair of npy files is trained on at its own image shape, and evaluated") {
  const TestFolder folder;
  write_pair(folder, "own", "|u1");
  const Arguments pair = {"--images", folder / "own_images.npy", "--labels",
                          folder / "own_labels.npy"};
  Arguments train = {"train",         "ds_net",
                     "--batch-size",  "5",
                     "--save",        folder / "models",
                     "--test-images", folder / "own_images.npy",
                     "--test-labels", folder / "own_labels.npy"};
  train.insert(train.end(), pair.begin(), pair.end());
  const auto trained = result(train);
  train[1] = "resnet20";  // the one that has to know the shape beforehand
  CHECK(result(train).at("test_loss").is_number());
  const std::string model = trained.at("model");
  CHECK(result({"inspect", model}).at("layers").at(1).at("output_shape") == Json{6, 4, 16});

  Arguments evaluate = {"evaluate", model};
  evaluate.insert(evaluate.end(), pair.begin(), pair.end());
  CHECK(result(evaluate).at("accuracy") == trained.at("test_accuracy"));
  Arguments predict = {"predict", model, "--limit", "1"};
  predict.insert(predict.end(), pair.begin(), pair.end());
  CHECK(events(predict).at(0).at("class_name").is_null());

  check_error(run_perch({"evaluate", model, "--data", write_data(folder)}), 65,
              {"[32, 32, 3]", "[12, 8, 3]"});
  evaluate.insert(evaluate.end(), {"--split", "test"});
  check_error(run_perch(evaluate), 2, {"--split", "leave it out"});
}

TEST_CASE("labels and scales that do not fit are refused") {
  const TestFolder folder;
  const auto train = [&](const std::string& name, Arguments more) {
    Arguments arguments = {"train",
                           "ds_net",
                           "--quiet",
                           "--batch-size",
                           "5",
                           "--save",
                           folder / "models",
                           "--images",
                           folder / (name + "_images.npy"),
                           "--labels",
                           folder / (name + "_labels.npy")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_perch(arguments);
  };
  write_pair(folder, "eleven", "|u1", 10);
  check_error(train("eleven", {}), 65, {"label 10", "0 to 9"});
  write_pair(folder, "floats", "<f4");
  check_error(train("floats", {"--input-scale", "raw"}), 2, {"--input-scale", "float"});
  check_error(train("none", {}), 66, {"none_images.npy"});
  CHECK(train("floats", {}).exit_code == 0);
}
