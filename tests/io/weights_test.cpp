// load_weights: from float to quantized, and from the layouts that tfmot has had.
#include <catch2/catch.hpp>
#include <tests/io/small_models.h>
#include <tests/support/bits.h>
#include <tests/support/temp_folder.h>

#include <perch/io/hdf5_writer.h>

namespace perch {
namespace {

using namespace test;

const Tensor& tensor_of(Model& model, const std::string& name) {
  for (const StateEntry& entry : state_of(model)) {
    if (entry.name == name) return *entry.tensor();
  }
  FAIL("no variable " + name);
  static const Tensor none;
  return none;
}

void write_image(const io::H5Writer& root, const std::filesystem::path& file) {
  const auto image = root.image();
  write_file(file, {reinterpret_cast<const char*>(image.data()), image.size()});
}

}  // namespace

TEST_CASE("float weights go into a quantized model, whose ranges stay") {
  const TempFolder folder;
  Sequential trained = small_net(5);
  train_a_little(trained);
  io::save_keras(trained, folder / "float.h5");

  Sequential model = small_quantized_net();
  const Tensor range = tensor_of(model, "quant_conv2d/kernel_max").clone();
  io::load_weights(model, folder / "float.h5");
  for (const StateEntry& entry : state_of(trained)) {
    INFO(entry.name);
    CHECK(bit_difference(tensor_of(model, entry.name), *entry.tensor()) == "");
  }
  CHECK(bit_difference(tensor_of(model, "quant_conv2d/kernel_max"), range) == "");

  Sequential back = small_net(9);
  io::save_keras(model, folder / "quantized.h5");
  io::load_weights(back, folder / "quantized.h5");
  CHECK(bit_difference(tensor_of(back, "dense/kernel"), tensor_of(trained, "dense/kernel")) == "");
}

TEST_CASE("trained ranges stand in the way of no float weights") {
  const TempFolder folder;
  Sequential trained = small_net(5);
  io::save_keras(trained, folder / "float.h5");
  CHECK_FALSE(io::holds_quantizers(folder / "float.h5"));
  for (const RangePolicy& policy : {RangePolicy(Lsq{}), RangePolicy(Pact{}), RangePolicy(Tqt{})}) {
    Sequential model = small_net(6);
    apply_in_place(model,
                   {{"conv2d",
                     {.weights = {{"kernel", {.range = policy}}},
                      .activation = QuantSpec{.range = policy},
                      .output = QuantSpec{.range = Percentile{}}}}},
                   {});
    io::load_weights(model, folder / "float.h5");
    CHECK(bit_difference(tensor_of(model, "conv2d/kernel"), tensor_of(trained, "conv2d/kernel")) ==
          "");
    io::save_keras(model, folder / "quantized.h5");
    CHECK(io::holds_quantizers(folder / "quantized.h5"));
    Sequential back = small_net(9);
    io::load_weights(back, folder / "quantized.h5");
    CHECK(bit_difference(tensor_of(back, "dense/kernel"), tensor_of(trained, "dense/kernel")) ==
          "");
  }
}

TEST_CASE("weights are found in tfmot's first order and under renamed scopes, layers at the root") {
  Sequential model{Conv2D(2, 1)};
  model.build({3, 3, 2});
  apply_in_place(model, {{"conv2d", {.weights = {{"kernel", QuantSpec{}}}}}},
                 {.input_quantizer = std::nullopt});
  const Tensor kernel({1, 1, 2, 2}, {1, 2, 3, 4}), bias({2}, {5, 6});

  const TempFolder folder;
  io::H5Writer root = io::H5Writer::create("weights");
  root.add_texts("layer_names", {"input_1", "quant_conv2d_7"});
  root.add_group("input_1").add_texts("weight_names", {});
  io::H5Writer layer = root.add_group("quant_conv2d_7");
  const std::string scope = "quant_conv2d_7/";
  layer.add_texts("weight_names", {scope + "bias:0", scope + "kernel:0", scope + "optimizer_step:0",
                                   scope + "kernel_min:0", scope + "kernel_max:0"});
  layer.add_floats(scope + "bias:0", bias);
  layer.add_floats(scope + "kernel:0", kernel);
  layer.add_int32(scope + "optimizer_step:0", 17);
  layer.add_floats(scope + "kernel_min:0", Tensor::scalar(-3));
  layer.add_floats(scope + "kernel_max:0", Tensor::scalar(8));
  write_image(root, folder / "weights.h5");

  io::load_weights(model, folder / "weights.h5");
  CHECK(bit_difference(tensor_of(model, "conv2d/kernel"), kernel) == "");
  CHECK(bit_difference(tensor_of(model, "conv2d/bias"), bias) == "");
  CHECK(tensor_of(model, "quant_conv2d/kernel_min").item() == -3);
  CHECK(tensor_of(model, "quant_conv2d/kernel_max").item() == 8);
}

}  // namespace perch
