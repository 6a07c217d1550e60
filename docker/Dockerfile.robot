# The robot computer: a real ROS 2, the nodes built by colcon, no torch and no simulator.
#   docker build -f docker/Dockerfile.robot -t sim2arm-robot .
#   docker run --rm --network host -it sim2arm-robot
ARG DISTRIBUTION=jazzy
FROM ros:${DISTRIBUTION}

RUN apt-get update \
    && apt-get install -y --no-install-recommends make python3-colcon-common-extensions python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /sim2arm
COPY . .
RUN make robot
ENV BASH_ENV=/sim2arm/install/setup.bash

CMD ["bash", "-c", "source install/setup.bash && exec bash"]
