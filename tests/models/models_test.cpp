// The ready networks: layers, shapes, sizes and names.
#include <catch2/catch.hpp>

#include <perch/core/error.h>
#include <perch/layers/state.h>
#include <perch/models/models.h>

namespace perch {

TEST_CASE("the ready networks have the layers and sizes of the original ones") {
  struct Expected {
    std::string name, last_but_one;
    std::int64_t trainable, other;
  };
  const Expected expected = GENERATE(
      Expected{"temp_net", "flatten", 3 * 9 * 32 + 32 + 64 + 32768 * 10 + 10, 64},
      Expected{"ds_net", "flatten",
               (27 * 16 + 16) + 32 + (9 * 16 + 16) + 32 + (16 * 32 + 32) + 64 + 8192 * 10 + 10,
               128},
      Expected{"depthwise_net", "global_average_pooling2d",
               (27 * 16 + 16) + 32 + (9 * 16 + 16) + 32 + 16 * 10 + 10, 64});
  CAPTURE(expected.name);
  const auto model = make_model(expected.name);
  CHECK(model->name() == expected.name);
  CHECK(model->build({32, 32, 3}) == Shape{10});
  CHECK(model->nodes()[model->nodes().size() - 2].layer->name() == expected.last_but_one);
  CHECK(count_parameters(*model).trainable == expected.trainable);
  CHECK(count_parameters(*model).other == expected.other);
  CHECK(model->forward(Variable(Tensor::full({2, 32, 32, 3}, 0.5f)), {}).op() ==
        std::string("softmax"));
}

TEST_CASE("an unknown network's message names the nearest") {
  CHECK_THROWS_WITH(make_model("tmp_net"), Catch::Contains("nearest: temp_net"));
  CHECK(model_names().size() == 3);
}

}  // namespace perch
